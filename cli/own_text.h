/* own_text.h: the text that a command reads: a file, a directory's split, or what the run itself
 * held out. */
#ifndef SGATLIN_CLI_OWN_TEXT_H
#define SGATLIN_CLI_OWN_TEXT_H

#include "cli.h"
#include "report/text.h"

/* --data of commands that read what a run held out where none is given (cli_text_find). */
#define CLI_HELD_OUT_OPTION(text) \
  { \
    .name = "data", .letter = 'd', .type = CLI_STRING, .argument = "PATH", .value_text = "what the run held out", \
    .help = text \
  }

typedef sgi_text cli_text;

/* Notes for people, and the signals. */
extern const sgi_text_watch cli_text_watch;

/* The text that --option names; of a directory that has the split ("valid", "train") that split.
 * Not given: where args[0] is a run, what it held out, with a note; else SG_ERR_ARG, which says
 * what is missing. cli_text_free in any case. */
sg_status cli_text_find(const cli_call *c, const char *option, const char *split, cli_text *out, sg_error *err);
/* Whether args[0] is a run that held text out, so that the option may be left out. */
sg_status cli_text_own(const cli_call *c, bool *own, sg_error *err);
/* A text is tokens only by the model's tokenizer: SG_ERR_ARG with the directory where it has
 * none. */
sg_status cli_text_needs(const sg_tokenizer *tokenizer, const char *directory, sg_error *err);
void cli_text_free(cli_text *t);
/* The directory that a run was trained from; NULL where args[0] is no run, or its text is a file.
 * New: sgi_free. */
char *cli_text_directory(const cli_call *c);

/* Its tokens (sgi_text_open). progress NULL: nothing is shown, a signal stops it. A
 * text without a document is SG_ERR_FORMAT. New: sgi_text_close. */
sg_status cli_text_open(const cli_text *t, const sg_text_form *form, const sg_tokenizer *tok, int32_t eos,
                        bool (*progress)(void *user, uint64_t done, uint64_t total), void *user, sgi_corpus **out,
                        sg_error *err);
/* The same of what --data names (cli_text_find), by the options of its form (text_form.h).
 * cli_text_free of text in any case. */
sg_status cli_text_corpus(const cli_call *c, const char *split, const sg_tokenizer *tok, int32_t eos,
                          bool (*progress)(void *user, uint64_t done, uint64_t total), void *user, cli_text *text,
                          sgi_corpus **out, sg_error *err);

#endif
