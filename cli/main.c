#include <stdio.h>

#include "sgatlin.h"

int main(void) {
  puts(sg_status_text(SG_OK));
  return 0;
}
