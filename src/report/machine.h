/* machine.h: what this build and this machine compute with: kinds of feedforward layers,
 * instruction sets. */
#ifndef SGI_REPORT_MACHINE_H
#define SGI_REPORT_MACHINE_H

#include "core/json.h"

/* SG_ERR_ARG where SGATLIN_ISA or SGATLIN_BF16 asks for what there is not. */
sg_status sgi_machine_check(sg_error *err);
/* Instruction set of the kernels; how products of bf16 are done; whether they are faster here than
 * those of float32. Texts that last. */
const char *sgi_machine_isa(void);
const char *sgi_machine_bf16(void);
bool sgi_machine_bf16_gains(void);
/* A thread is in what makes the matrix product's kernels: an end of the process meanwhile is of
 * memory. For handlers of signals. */
bool sgi_machine_making(void);

/* SG_ERR_ARG, with the nearest name, where there is no such feedforward kind. */
sg_status sgi_kind_check(const char *name, sg_error *err);
/* {NAME: {router, gates, preset}} in order. New reference. */
json_t *sgi_kinds_json(void);

#endif
