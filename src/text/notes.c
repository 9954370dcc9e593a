#include "text/notes.h"

#include <stdio.h>
#include <string.h>

void sgi_note_name(const char *path, char out[SGI_NOTE_NAME]) {
  const char *slash = strrchr(path, '/'), *name = slash && slash[1] ? slash + 1 : path;
  if (!strcmp(path, "-")) name = "standard input";
  size_t n = strlen(name);
  if (n >= SGI_NOTE_NAME) {
    n = SGI_NOTE_NAME - 1;
    while (n && ((unsigned char)name[n] & 0xC0) == 0x80) n--;
  }
  memcpy(out, name, n);
  memset(out + n, 0, SGI_NOTE_NAME - n); /* all of it: it is hashed and written */
}

void sgi_text_notes_add(sgi_text_notes *all, const sgi_text_notes *more) {
  if (!all->broken && more->broken) {
    all->broken_at = more->broken_at;
    all->broken_line = more->broken_line;
    memcpy(all->broken_file, more->broken_file, sizeof all->broken_file);
  }
  if (!all->halves && more->halves) {
    all->halves_line = more->halves_line;
    memcpy(all->halves_file, more->halves_file, sizeof all->halves_file);
  }
  if (!all->passed && more->passed) memcpy(all->passed_names, more->passed_names, sizeof all->passed_names);
  if (!all->missing && more->missing) memcpy(all->missing_names, more->missing_names, sizeof all->missing_names);
  if (!*all->passed_why) memcpy(all->passed_why, more->passed_why, sizeof all->passed_why);
  all->broken += more->broken;
  all->halves += more->halves;
  all->missing += more->missing;
  all->passed += more->passed;
  all->passed_bytes += more->passed_bytes;
}

void sgi_text_notes_mended(sgi_text_notes *all, const char *path, uint64_t line, uint64_t broken, uint64_t halves) {
  sgi_text_notes now = {.broken = broken, .broken_line = line, .halves = halves, .halves_line = line};
  if (!broken && !halves) return;
  sgi_note_name(path, now.broken_file);
  sgi_note_name(path, now.halves_file);
  sgi_text_notes_add(all, &now);
}

static void say_broken(const sgi_text_notes *n, sgi_say say, void *user) {
  char text[SG_ERROR_TEXT];
  bool line = n->broken_line;
  snprintf(text, sizeof text,
           "%llu %s no UTF-8 and became U+FFFD, the first in %s at %s %llu; is it another encoding? (iconv -f "
           "WINDOWS-1252 -t UTF-8 converts the most frequent one)",
           (unsigned long long)n->broken, n->broken == 1 ? "byte is" : "bytes are", n->broken_file,
           line ? "line" : "byte", (unsigned long long)(line ? n->broken_line : n->broken_at));
  say(user, text);
}

static void say_passed(const sgi_text_notes *n, sgi_say say, void *user) {
  char text[2 * SG_ERROR_TEXT];
  snprintf(text, sizeof text,
           "%llu %s with %llu %s passed over: %s; text files end in .txt, .jsonl, .ndjson or .json, plain "
           "or with .zst or .gz behind it%s%s",
           (unsigned long long)n->passed, n->passed == 1 ? "entry" : "entries", (unsigned long long)n->passed_bytes,
           n->passed_bytes == 1 ? "byte was" : "bytes were", n->passed_names, *n->passed_why ? "; " : "",
           n->passed_why);
  say(user, text);
}

void sgi_text_notes_say(const sgi_text_notes *n, sgi_say say, void *user) {
  char text[SG_ERROR_TEXT];
  if (n->broken) say_broken(n, say, user);
  if (n->halves) {
    snprintf(text, sizeof text, "%llu %s of a surrogate pair became U+FFFD, the first in %s at line %llu",
             (unsigned long long)n->halves, n->halves == 1 ? "half" : "halves", n->halves_file,
             (unsigned long long)n->halves_line);
    say(user, text);
  }
  if (n->passed) say_passed(n, say, user);
  if (n->missing) {
    snprintf(text, sizeof text, "%llu %s missing by the numbers of the others: %s", (unsigned long long)n->missing,
             n->missing == 1 ? "shard is" : "shards are", n->missing_names);
    say(user, text);
  }
}
