#include "machine.h"

#include "ffn/ffn.h"
#include "math/bf16.h"
#include "math/gemm.h"
#include "math/kernels.h"

sg_status sgi_machine_check(sg_error *err) {
  sg_status st = sgi_kernels_check(err);
  return st ? st : sgi_bf16_check(err);
}

const char *sgi_machine_isa(void) { return sgi_kernel_table()->isa; }
const char *sgi_machine_bf16(void) { return sgi_bf16_path(); }
bool sgi_machine_bf16_gains(void) { return sgi_bf16_gains(); }
bool sgi_machine_making(void) { return sgi_gemm_making(); }

sg_status sgi_kind_check(const char *name, sg_error *err) { return sgi_ffn_find(name, err) ? SG_OK : SG_ERR_ARG; }

json_t *sgi_kinds_json(void) {
  json_t *all = json_object();
  const sgi_ffn_ops *k;
  for (size_t i = 0; (k = sgi_ffn_at(i)); i++)
    json_object_set_new(all, k->name,
                        json_pack("{s:b, s:b, s:b}", "router", (k->uses & SGI_USES_ROUTER) != 0, "gates",
                                  k->gates != NULL, "preset", k->preset.tinystories.num_neurons != 0));
  return all;
}
