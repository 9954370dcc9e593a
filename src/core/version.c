/* version.c: which library this is. */
#include "version.h"

#include "sgatlin.h"

int sg_abi_version(void) { return SG_ABI_VERSION; }
const char *sg_version_text(void) { return SGI_VERSION " (" SGI_COMMIT ")"; }
