/* reading.h: what the commands that read a recording share: opening it, layers, channels, neurons
 * and text. */
#ifndef SGATLIN_CLI_READING_H
#define SGATLIN_CLI_READING_H

#include "cli.h"
#include "model.h"
#include "report/recorded.h"

/* Whether the recording (name, as given) was made from this model: another one is refused, unless
 * --force was given, which warns. Of a recording without a hash a note says that nothing is
 * known. */
#define CLI_FORCE_OPTION \
  { .name = "force", .type = CLI_FLAG, .help = "read the recording although it was made from another model" }
sg_status cli_bind(const cli_call *c, const sg_recording *rec, const char *name, const sg_model *model, sg_error *err);

/* cli_json, unless a file of the recording was found damaged while the answer was made. Takes the
 * reference. */
int cli_reading_json(const sg_recording *rec, json_t *value);
/* code, or the failure of a recording that was found damaged. */
int cli_reading_end(const sg_recording *rec, int code);

/* Options --layer and --channel: the slot (the last recorded layer where none is given),
 * SG_ALL_CHANNELS for "all". */
#define CLI_LAYER_OPTION \
  { \
    .name = "layer", .letter = 'l', .type = CLI_SIZE, .argument = "L", .value_text = "the last recorded one", \
    .help = "layer of the model, from 0" \
  }
#define CLI_CHANNEL_OPTION(text) \
  { .name = "channel", .letter = 'c', .type = CLI_STRING, .argument = "C", .value = "all", .help = text }
sg_status cli_reading_layer(const cli_call *c, const sgi_record_reader *r, size_t *slot, sg_error *err);
sg_status cli_reading_channel(const cli_call *c, const sgi_record_reader *r, size_t slot, size_t *channel,
                              sg_error *err);
/* "3" or "0,2,5-7" into ascending numbers, each once. *out is new: sgi_free. what names the option
 * in errors. */
sg_status cli_number_list(const char *text, const char *what, size_t **out, size_t *n, sg_error *err);
/* "c:i,c:i". *out is new: sgi_free. */
sg_status cli_unit_list(const char *text, sg_neuron_id **out, size_t *n, sg_error *err);

/* A recorded token and an excerpt for a table cell: free. "" where memory is out. */
char *cli_recorded_token_text(const sgi_record_reader *r, int32_t id, bool names);
char *cli_recorded_excerpt_text(const sgi_record_reader *r, size_t position, size_t width, bool names);

#endif
