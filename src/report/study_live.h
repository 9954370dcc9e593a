/* study_live.h: a study while it goes on, for a page that looks again and again: the loss of every
 * run so far, results as they end, best sizes. Each run's metrics.jsonl is read on from where it
 * was; of a run no more is kept than a curve of a few hundred points, each the mean of as many
 * steps as it takes. What is damaged is told beside its run. */
#ifndef SGI_REPORT_STUDY_LIVE_H
#define SGI_REPORT_STUDY_LIVE_H

#include "core/base.h"
#include "core/json.h"

typedef struct sgi_study_view sgi_study_view;

/* The directory holds a study. */
bool sgi_is_study(const char *directory);
/* Reads study.json and the results that are there, and no curve yet. New: sgi_study_view_close. */
sg_status sgi_study_view_open(const char *directory, sgi_study_view **out, sg_error *err);
void sgi_study_view_close(sgi_study_view *v); /* NULL allowed */

/* Looks once: results, and at most SGI_STUDY_LOOK bytes of curves. since: "seen" of an earlier
 * answer, 0 for all. New reference: {seen, more: there is more to read at once, asked: {kinds,
 * scales, budgets, seeds}, left, timing (sgi_study_timing without its forms: whose seconds all of
 * these are), runs: [{name, kind, scale, sweep, variant, budget, seed, state,
 * problem, parameters, non_embedding_parameters, steps, flops, step, seconds, memory_bytes,
 * train_loss, valid_loss, standard_error, perplexity}], curves: [{name, step, flops, seconds,
 * loss}] of the runs that have grown since, optima, train_optima and best_settings as
 * sgi_study_report has them}.
 * Where nothing has changed since, runs, curves and the others are empty. */
enum { SGI_STUDY_LOOK = 4 << 20 };
sg_status sgi_study_view_look(sgi_study_view *v, size_t since, json_t **out, sg_error *err);

/* How many times less compute, by every cost, each kind needs than mlp and moe, by the results that
 * are there now, with intervals of 400 resamples: seconds of work in a large study, so they are
 * kept until a result or the timings change, and no look makes them. on (user, part done) false:
 * SG_ERR_CANCELLED. New reference: {ended, runs: how many of the study's, timing, against,
 * resampled_documents, resampled_rows, factors, no_factors}. */
sg_status sgi_study_view_factors(sgi_study_view *v, bool (*on)(void *user, double part), void *user, json_t **out,
                                 sg_error *err);

#endif
