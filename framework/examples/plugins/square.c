/* w * w, in C: the same order as the magnitude. Option `scale` is a factor above 0. */
#include "secateur_plugin.h"

#include <stdio.h>
#include <stdlib.h>

static int32_t create(const void *context, secateur_str options, size_t threads, void **out, secateur_report report) {
  (void)context, (void)threads;
  char text[256];
  snprintf(text, sizeof text, "%.*s", (int)options.len, (const char *)options.data);
  float *scale = malloc(sizeof *scale);
  if (!scale) return secateur_fail(report, "out of memory");
  *scale = 1;
  if (options.len && sscanf(text, "scale = %f", scale) != 1) {
    free(scale);
    return secateur_fail(report, "the only option is `scale`");
  }
  if (!(*scale > 0)) {
    free(scale);
    return secateur_bad_option(report, "scale", options, "must be a number above 0");
  }
  *out = scale;
  return 0;
}

static void destroy(void *self) { free(self); }

static int32_t score(void *self, const secateur_target *target, secateur_sink out, secateur_report report) {
  const float *w = target->weight.data;
  size_t n = secateur_count(target->weight);
  float *scores = malloc(n * sizeof *scores);
  if (!scores) return secateur_fail(report, "out of memory");
  for (size_t i = 0; i < n; i++) scores[i] = *(float *)self * w[i] * w[i];
  secateur_view view = target->weight;
  secateur_str name = {0, 0};
  view.data = scores, view.owner = 0;
  out.put(out.user, SECATEUR_WEIGHT_SCORES, name, view);
  free(scores);
  return 0;
}

static const secateur_criterion table = {.size = sizeof table, .create = create, .destroy = destroy, .score = score};
static const secateur_option options[] = {
    {SECATEUR_STR("scale"), SECATEUR_STR("Factor of every score."), SECATEUR_STR("f32"), SECATEUR_STR("1.0")}};
static const secateur_entry entries[] = {{.kind = SECATEUR_CRITERION,
                                          .name = SECATEUR_STR("square"),
                                          .summary = SECATEUR_STR("Squares of the weights, in C."),
                                          .origin = SECATEUR_STR("square.c"),
                                          .version = SECATEUR_STR("1.0"),
                                          .options = options,
                                          .option_count = 1,
                                          .table = &table}};
SECATEUR_PLUGIN(entries)
