/* reading.h: what the commands that read a recording share: opening it, layers, channels, neurons
 * and text. */
#ifndef SGATLIN_CLI_READING_H
#define SGATLIN_CLI_READING_H

#include "cli.h"
#include "model.h"
#include "read/excerpt.h"
#include "read/neighbors.h"

/* A recording with its tokenizer (NULL where it has none). cli_reading_close takes one that failed,
 * too. */
typedef struct cli_reading {
  const char *directory;
  sgi_recording *rec;
  const sgi_recording_info *info;
  sg_tokenizer *tok;
} cli_reading;
sg_status cli_reading_open(const char *directory, cli_reading *out, sg_error *err);
void cli_reading_close(cli_reading *r);

/* Whether the recording (name, as given) was made from this model: another one is refused, unless
 * --force was given, which warns. Of a recording without a hash a note says that nothing is
 * known. */
#define CLI_FORCE_OPTION \
  { .name = "force", .type = CLI_FLAG, .help = "read the recording although it was made from another model" }
sg_status cli_bind(const cli_call *c, const sgi_recording *rec, const char *name, const sg_model *model, sg_error *err);

/* cli_json, unless a file of the recording was found damaged while the answer was made. Takes the
 * reference. */
int cli_reading_json(const sgi_recording *rec, json_t *value);
/* code, or the failure of a recording that was found damaged. */
int cli_reading_end(const sgi_recording *rec, int code);

/* Options --layer and --channel: the slot (the last recorded layer where none is given),
 * SGI_ALL_CHANNELS for "all". */
#define CLI_LAYER_OPTION \
  { \
    .name = "layer", .letter = 'l', .type = CLI_SIZE, .argument = "L", .value_text = "the last recorded one", \
    .help = "layer of the model, from 0" \
  }
#define CLI_CHANNEL_OPTION(text) \
  { .name = "channel", .letter = 'c', .type = CLI_STRING, .argument = "C", .value = "all", .help = text }
sg_status cli_reading_layer(const cli_call *c, const cli_reading *r, size_t *slot, sg_error *err);
sg_status cli_reading_channel(const cli_call *c, const cli_reading *r, size_t slot, size_t *channel, sg_error *err);
/* SG_ERR_ARG where the recording holds neurons alone. */
sg_status cli_reading_circuits(const cli_reading *r, sg_error *err);
/* The most channels of a recorded layer. */
size_t cli_reading_channels(const cli_reading *r);

/* "3" or "0,2,5-7" into ascending numbers, each once. *out is new: sgi_free. what names the option
 * in errors. */
sg_status cli_number_list(const char *text, const char *what, size_t **out, size_t *n, sg_error *err);
/* "c:i,c:i". *out is new: sgi_free. */
sg_status cli_unit_list(const char *text, sgi_neuron **out, size_t *n, sg_error *err);

/* JSON of a token and of an excerpt; null where there is no tokenizer. names: the reference's
 * form. */
json_t *cli_recorded_token(const cli_reading *r, int32_t id, bool names);
json_t *cli_recorded_excerpt(const cli_reading *r, size_t position, size_t width, bool names);
/* The same as text for a table cell: free. "" where memory is out. */
char *cli_recorded_token_text(const cli_reading *r, int32_t id, bool names);
char *cli_recorded_excerpt_text(const cli_reading *r, size_t position, size_t width, bool names);

#endif
