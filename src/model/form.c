#include "model/form.h"

#include <stdio.h>
#include <string.h>

static const sgi_layer_form forms[] = {
    {.name = "sequential", .chain = true, .stages = 1, .weight = {1}, .whole = 1},
    {.name = "parallel", .stages = 1, .weight = {1}, .whole = 1},
    {.name = "euler", .stages = 1, .steps = true, .weight = {1}, .whole = 1},
    {.name = "midpoint", .stages = 2, .steps = true, .reach = {0, 0.5}, .weight = {0, 1}, .whole = 1},
    {.name = "rk4", .stages = 4, .steps = true, .reach = {0, 0.5, 0.5, 1}, .weight = {1, 2, 2, 1}, .whole = 6},
};

const char *sg_layer_form_name(size_t i) { return i < SGI_COUNT(forms) ? forms[i].name : NULL; }

const sgi_layer_form *sgi_form_of(const sg_config *c) {
  if (!c->layer_form[0]) return &forms[0];
  for (size_t i = 0; i < SGI_COUNT(forms); i++)
    if (!strcmp(forms[i].name, c->layer_form)) return &forms[i];
  return NULL;
}

size_t sgi_form_steps(const sg_config *c) { return sgi_form_of(c)->steps && c->ode_steps ? c->ode_steps : 1; }
size_t sgi_form_evaluations(const sg_config *c) { return sgi_form_of(c)->stages * sgi_form_steps(c); }

sg_status sgi_form_check(const sg_config *c, sg_error *err) {
  if (!memchr(c->layer_form, 0, SG_NAME))
    return sgi_fail(err, SG_ERR_ARG, "layer_form must end within %d bytes", SG_NAME);
  const sgi_layer_form *f = sgi_form_of(c);
  if (!f) {
    const char *names[SGI_COUNT(forms)];
    for (size_t i = 0; i < SGI_COUNT(forms); i++) names[i] = forms[i].name;
    const char *near = sgi_nearest(c->layer_form, names, SGI_COUNT(names));
    return sgi_fail(err, SG_ERR_ARG, "layer_form is \"%s\": choose sequential, parallel, euler, midpoint or rk4%s%s%s",
                    c->layer_form, near ? " (did you mean " : "", near ? near : "", near ? "?)" : "");
  }
  if (c->ode_steps > SG_MAX_ODE_STEPS)
    return sgi_fail(err, SG_ERR_ARG, "ode_steps is %zu: it must be from 1 to %d", c->ode_steps, SG_MAX_ODE_STEPS);
  if (c->ode_steps > 1 && !f->steps)
    return sgi_fail(err, SG_ERR_ARG, "ode_steps is %zu: layer_form %s has no steps", c->ode_steps, f->name);
  return SG_OK;
}

sg_status sgi_form_readable(const sg_config *c, const char *what, sg_error *err) {
  const sgi_layer_form *f = sgi_form_of(c);
  if (f->chain || !f->steps) return SG_OK;
  return sgi_fail(err, SG_ERR_UNSUPPORTED,
                  "%s: only where layers add to the stream once, sequential or parallel; this model's layer_form is %s",
                  what, f->name);
}
