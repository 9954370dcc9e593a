/* Mapped files that are cut while they are in use: the process lives, and nothing that was read of
 * them is taken. */
#include "support/small.h"

#include <fcntl.h>
#include <omp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/file_guard.h"
#include "model/pass.h"

static char *root;
static char path[4200];
enum { PAGES = 64 };
static size_t page;

static int begin(void **state) {
  (void)state;
  root = golden_temporary();
  snprintf(path, sizeof path, "%s/mapped", root);
  page = (size_t)sysconf(_SC_PAGESIZE);
  return 0;
}

static int end(void **state) {
  (void)state;
  golden_remove(root);
  return 0;
}

/* cmocka has handlers of its own for the time of each test: ours goes over them. */
static void fill(void) {
  sgi_guard_install();
  sgi_guard_threads();
  FILE *f = fopen(path, "wb");
  assert_non_null(f);
  for (size_t i = 0; i < PAGES * page; i++) fputc(7, f);
  fclose(f);
}

static size_t sum(const sgi_map *m) {
  size_t total = 0;
#pragma omp parallel for reduction(+ : total) schedule(static, 1)
  for (size_t i = 0; i < m->size; i++) total += m->data[i];
  return total;
}

static void cut(void **state) {
  (void)state;
  char other[4300];
  sgi_map m, again;
  sg_error e = {0};
  fill();
  assert_sg_ok(sgi_map_file(path, &m, err));
  assert_int_equal(sum(&m), 7 * m.size);
  assert_sg_ok(sgi_guard_look(true, err));
  assert_int_equal(truncate(path, (off_t)(3 * page)), 0);
  assert_int_equal(sgi_guard_look(false, &e), SG_ERR_IO); /* seen before anything is read */
  omp_set_num_threads(4);
  assert_int_equal(sum(&m), 7 * 3 * page); /* four threads meet the lost pages at once */
  assert_int_equal(sgi_guard_check(&e), SG_ERR_IO);
  assert_non_null(strstr(e.text, path));
  assert_non_null(strstr(e.text, "was cut"));

  /* nothing is written that may be made of it, and it does not stick to the next mapping */
  snprintf(other, sizeof other, "%s/made", root);
  assert_int_equal(sgi_write_file(other, "x", 1, &e), SG_ERR_IO);
  assert_false(sgi_is_file(other));
  sgi_unmap_file(&m);
  assert_sg_ok(sgi_guard_check(err));
  assert_int_equal(sgi_guard_end(&e), SG_ERR_IO); /* but the command's last line knows */
  assert_sg_ok(sgi_write_file(other, "x", 1, err));
  assert_sg_ok(sgi_map_file(path, &again, err));
  assert_int_equal(sum(&again), 7 * 3 * page);
  assert_sg_ok(sgi_guard_check(err));
  sgi_unmap_file(&again);
}

/* A cut within the last page, which reads as zeros without a signal, and a byte that somebody
 * wrote. */
static void changed(void **state) {
  (void)state;
  sgi_map m;
  sg_error e = {0};
  fill();
  assert_sg_ok(sgi_map_file(path, &m, err));
  assert_int_equal(truncate(path, (off_t)(PAGES * page - 10)), 0);
  assert_int_equal(sum(&m), 7 * (PAGES * page - 10));
  assert_sg_ok(sgi_guard_check(err));
  assert_int_equal(sgi_guard_look(false, &e), SG_ERR_IO);
  assert_non_null(strstr(e.text, "was changed"));
  sgi_unmap_file(&m);
  fill();
  assert_sg_ok(sgi_map_file(path, &m, err));
  usleep(20000);
  int fd = open(path, O_WRONLY);
  assert_int_equal(write(fd, "a", 1), 1);
  close(fd);
  assert_sg_ok(sgi_guard_look(false, err));
  assert_int_equal(sgi_guard_look(true, &e), SG_ERR_IO);
  sgi_unmap_file(&m);
}

/* A file that takes the name leaves the mapped one as it was. */
static void replaced(void **state) {
  (void)state;
  sgi_map m;
  fill();
  assert_sg_ok(sgi_map_file(path, &m, err));
  assert_sg_ok(sgi_write_file(path, "new", 3, err));
  assert_int_equal(sum(&m), 7 * m.size);
  assert_sg_ok(sgi_guard_look(true, err));
  sgi_unmap_file(&m);
}

static void pass(void **state) {
  (void)state;
  static const int32_t ids[4] = {5, 6, 7, 8};
  char file[4300];
  sg_model *m;
  sgi_pass *p;
  sg_error e = {0};
  sgi_batch batch = {.B = 1, .T = 4, .inputs = ids};
  fill();
  assert_sg_ok(sg_model_load("tests/golden/eval/model", &m, err));
  assert_sg_ok(sg_model_save(m, root, err));
  sg_model_free(m);
  snprintf(file, sizeof file, "%s/model.safetensors", root);
  assert_sg_ok(sg_model_load(root, &m, err));
  assert_sg_ok(sgi_pass_create(m, 1, 4, false, &p, err));
  assert_sg_ok(sgi_pass_forward(p, &batch, NULL, err));
  assert_int_equal(truncate(file, (off_t)page), 0);
  assert_int_equal(sgi_pass_forward(p, &batch, NULL, &e), SG_ERR_IO);
  assert_non_null(strstr(e.text, file));
  sgi_pass_free(p);
  sg_model_free(m);
}

/* A signal for memory that is not ours still ends the process. */
static void not_ours(void **state) {
  (void)state;
  fill();
  pid_t child = fork();
  if (child == 0) {
    int fd = open(path, O_RDWR);
    volatile const char *p = mmap(NULL, PAGES * page, PROT_READ, MAP_PRIVATE, fd, 0);
    if (ftruncate(fd, 0)) _exit(3);
    _exit(p[5 * page]);
  }
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFSIGNALED(status) || (WIFEXITED(status) && WEXITSTATUS(status) == 1)); /* 1: ASan's own handler */
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(cut), cmocka_unit_test(changed), cmocka_unit_test(replaced),
                                     cmocka_unit_test(pass), cmocka_unit_test(not_ours)};
  return cmocka_run_group_tests_name("guard", tests, begin, end);
}
