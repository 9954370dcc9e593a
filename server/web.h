/* web.h: the files of the page inside the program (tools/embed.sh writes the table). */
#ifndef SGS_WEB_H
#define SGS_WEB_H

#include "http.h"

extern const http_asset web_assets[]; /* ends with a NULL path; "/" is the first */

#endif
