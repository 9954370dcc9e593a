#include "guard.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

bool guard_same(const char *a, const char *b, size_t n) {
  unsigned char difference = 0;
  for (size_t i = 0; i < n; i++) difference = (unsigned char)(difference | (a[i] ^ b[i]));
  return difference == 0;
}

static bool plain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
}

bool guard_path(const char *uri, char *path, size_t size) {
  size_t n = strcspn(uri, "?"), segment = 0;
  if (n == 0 || uri[0] != '/' || n >= size) return false;
  for (size_t i = 1; i <= n; i++) {
    if (i < n && uri[i] != '/') {
      if (!plain(uri[i]) || (segment == 0 && uri[i] == '.')) return false;
      segment++;
      continue;
    }
    if (segment == 0 && i < n) return false; /* an empty segment; one '/' at the end of "/" alone is fine */
    if (segment == 0 && n > 1) return false;
    segment = 0;
  }
  memcpy(path, uri, n);
  path[n] = '\0';
  return true;
}

bool guard_json(const char *text, size_t n) { return guard_json_within(text, n, GUARD_JSON_DEPTH, GUARD_JSON_VALUES); }

bool guard_json_within(const char *text, size_t n, size_t max_depth, size_t max_values) {
  size_t depth = 0, values = 1;
  bool quoted = false;
  for (size_t i = 0; i < n; i++) {
    char c = text[i];
    if (quoted) {
      if (c == '\\')
        i++;
      else if (c == '"')
        quoted = false;
      continue;
    }
    if (c == '"') quoted = true;
    if (c == '[' || c == '{') depth++;
    if ((c == ']' || c == '}') && depth) depth--;
    if (c == ',') values++;
    if (depth > max_depth || values > max_values) return false;
  }
  return true;
}

/* No control byte, no space, no byte above ASCII: what a browser sends is already escaped. */
static bool clean(const char *uri) {
  size_t n = 0;
  for (; uri[n]; n++)
    if (n >= GUARD_URI_MAX || uri[n] <= ' ' || uri[n] > '~') return false;
  return true;
}

static bool is_token(const char *name) {
  static const char marks[] = "!#$%&'*+-.^_`|~";
  if (!*name) return false;
  for (; *name; name++) {
    bool letter = (*name >= 'a' && *name <= 'z') || (*name >= 'A' && *name <= 'Z') || (*name >= '0' && *name <= '9');
    if (!letter && !strchr(marks, *name)) return false;
  }
  return true;
}

bool guard_header(const char *name, const char *value) {
  enum { FAR = 1 << 16 }; /* above all that one connection reads */
  if (!is_token(name)) return false;
  const char *at = name + strlen(name) + 1;
  if ((uintptr_t)value < (uintptr_t)at || (uintptr_t)value - (uintptr_t)at > FAR) return false;
  for (; at < value; at++)
    if (*at != ' ' && *at != '\t') return false;
  for (; *value; value++)
    if (((unsigned char)*value < ' ' && *value != '\t') || *value == 127) return false;
  return value[1] == '\0';
}

void guard_take(guard_request *r, const char *name, const char *value) {
  const struct {
    const char *name, **to;
  } all[] = {{"Host", &r->host},
             {"Origin", &r->origin},
             {"Content-Type", &r->content_type},
             {"Content-Length", &r->content_length},
             {"Sec-Fetch-Site", &r->fetch_site},
             {"X-Sgatlin-Token", &r->token},
             {"Transfer-Encoding", &r->transfer}};
  if (!value || !guard_header(name, value)) r->broken = true;
  r->last = value;
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    if (strcasecmp(name, all[i].name)) continue;
    if (*all[i].to) r->broken = true;
    *all[i].to = value ? value : "";
  }
}

bool guard_last_header(const char *value) {
  size_t n = strlen(value);
  return !value[n + 1] && !value[n + 2] && !value[n + 3];
}

static bool is_ours(const char *authority, unsigned port, const char *host) {
  const char *names[] = {"127.0.0.1", "localhost", "[::1]", host};
  for (size_t i = 0; i < sizeof names / sizeof *names && names[i]; i++) {
    char full[300];
    snprintf(full, sizeof full, "%s:%u", names[i], port);
    if (!strcmp(authority, full)) return true;
  }
  return false;
}

static int check_post(const guard_request *r) {
  if (r->transfer && r->content_length) return 400; /* two lengths: which one holds is anyone's guess */
  if (r->transfer || !r->content_length) return 411;
  for (const char *p = r->content_length; *p; p++)
    if (*p < '0' || *p > '9') return 400;
  size_t digits = strlen(r->content_length);
  if (digits == 0) return 400;
  if (digits > 7) return 413;
  unsigned long bytes = 0;
  for (const char *p = r->content_length; *p; p++) bytes = bytes * 10 + (unsigned long)(*p - '0');
  if (bytes > GUARD_BODY_MAX) return 413;
  if (!r->content_type || strncasecmp(r->content_type, "application/json", 16) ||
      (r->content_type[16] && r->content_type[16] != ';' && r->content_type[16] != ' '))
    return 415;
  if (r->fetch_site && strcmp(r->fetch_site, "same-origin") && strcmp(r->fetch_site, "none")) return 403;
  return 0;
}

int guard_check(const guard_request *r, unsigned port, const char *host, const char *wanted, bool api) {
  if (strlen(r->uri) > GUARD_URI_MAX) return 414;
  if (!clean(r->uri) || r->uri[0] != '/') return 400;
  if (r->broken || !r->host) return 400;
  if (!is_ours(r->host, port, host)) return 421; /* DNS rebinding: the browser thinks it speaks to somebody else */
  bool post = !strcmp(r->method, "POST");
  if (!post && strcmp(r->method, "GET") && strcmp(r->method, "HEAD")) return 405;
  if (!post && (r->content_length || r->transfer) && !(r->content_length && !strcmp(r->content_length, "0")))
    return 400;
  if (r->origin) {
    if (strncmp(r->origin, "http://", 7) || !is_ours(r->origin + 7, port, host)) return 403;
  }
  if (api ? !strcmp(r->method, "HEAD") : post) return 405;
  if (api) {
    if (!r->token || strlen(r->token) != GUARD_TOKEN || !guard_same(r->token, wanted, GUARD_TOKEN)) return 401;
  }
  return post ? check_post(r) : 0;
}
