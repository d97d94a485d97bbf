/* Secateur's plugin ABI, version 3, for plugins in C. The Rust side is framework/src/plugins/boundary/abi; a test compares the two.
 *
 * A plugin defines its tables and ends with SECATEUR_PLUGIN(entries). Build it as a shared library:
 *     cc -shared -fPIC -O2 -I framework/include -o libmine.so mine.c
 *
 * Rules: the caller allocates inputs, valid for the call; outputs go through a sink, which copies; nothing is freed by the side that
 * did not allocate it. Functions return 0, or another number after they have reported an error with secateur_fail. A null function
 * is one that the plugin does not have. An object is used by one thread at a time, not always the same one. Nothing may be thrown or
 * jumped across a call. */
#ifndef SECATEUR_PLUGIN_H
#define SECATEUR_PLUGIN_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { SECATEUR_F32 = 0, SECATEUR_U8 = 1, SECATEUR_F64 = 2 };  /* dtype */
enum { SECATEUR_HOST = 0 };                                    /* device */
enum { SECATEUR_FAILED = 0, SECATEUR_BAD_OPTION = 1, SECATEUR_BAD_CONFIG = 2, SECATEUR_PANICKED = 3 };
enum {                                                         /* what an array is */
  SECATEUR_GRADIENT = 1, SECATEUR_INPUT = 2, SECATEUR_OUTPUT = 3, SECATEUR_OUTPUT_GRADIENT = 4, SECATEUR_PREACTIVATION = 5,
  SECATEUR_WEIGHT_SCORES = 6, SECATEUR_UNIT_SCORES = 7, SECATEUR_KEEP = 8, SECATEUR_STATE = 9, SECATEUR_LOGITS = 10,
  SECATEUR_LOSS = 11, SECATEUR_PREDICTION = 12, SECATEUR_TOKENS = 13, SECATEUR_BUFFER = 14, SECATEUR_PRODUCT = 15
};
enum { SECATEUR_NO_AMOUNT = 0, SECATEUR_SPARSITY = 1, SECATEUR_OF_REMAINING = 2 };
enum { SECATEUR_CRITERION = 1, SECATEUR_SCHEDULE = 2, SECATEUR_COMPRESSOR = 3, SECATEUR_MODEL = 4 };
/* A data set. A host refuses it: data sets are linked into the program. */
enum { SECATEUR_DATA = 5 };

/* UTF-8, not terminated. */
typedef struct { const uint8_t *data; size_t len; } secateur_str;
#define SECATEUR_STR(literal) {(const uint8_t *)(literal), sizeof(literal) - 1}

/* Whoever retains a view's owner may use its data until releasing it. */
typedef struct secateur_owner {
  void (*retain)(const struct secateur_owner *);
  void (*release)(const struct secateur_owner *);
} secateur_owner;

/* Row-major and contiguous; data is null where there is no array, owner where the data is valid for the call only. */
typedef struct {
  const void *data; const size_t *shape; size_t rank; uint32_t dtype; uint32_t device; const secateur_owner *owner;
} secateur_view;

typedef struct {
  void *user;
  void (*put)(void *user, uint32_t code, secateur_str key, secateur_str found, secateur_str message);
} secateur_report;

typedef struct { void *user; void (*put)(void *user, secateur_str text); } secateur_text_sink;
typedef struct { void *user; void (*put)(void *user, uint32_t what, secateur_str name, secateur_view value); } secateur_sink;
typedef struct { uint32_t what; secateur_str name; secateur_view value; } secateur_signal;

/* One parameter; kept counts the elements that are not masked out. */
typedef struct {
  secateur_str name; secateur_view value; secateur_view mask; size_t kept; const secateur_view *state; size_t states;
  uint64_t updates; size_t dense_count;
} secateur_param;
typedef struct { secateur_str group; const uint8_t *alive; size_t units; } secateur_alive;
/* dynamic: 0 where pruned weights are zero and stay so, 1 where they keep learning, 2 where they are zero until they return. */
typedef struct {
  const secateur_param *list; size_t count; uint32_t dynamic; const secateur_alive *alive; size_t alive_count;
} secateur_params;

/* A value of a pass: id is the same for the same value, whatever its shape; tracked is 0 where the pass did not compute it. */
typedef struct { uint64_t id; uint32_t tracked; secateur_view value; } secateur_value;

/* An operation of a pass. layer is empty but for a layer's product with its weight (and batch normalisation); single is 1 where each
 * value comes from one value of the input alone, 0 for a linear map of all inputs. */
typedef struct {
  secateur_str layer; uint32_t single; const secateur_value *inputs; size_t input_count; secateur_value output;
} secateur_call;

/* The operations of a pass, in order. output: the logits, or the result of the output layer; without an array where there is none.
 * replay computes a call (by its index) again for other inputs: its map (part 0), the map with its positive (1) or its negative (2)
 * coefficients alone, by their size, or what does not depend on the inputs (3); it puts OUTPUT, or nothing where there is nothing of
 * the part. vjp does the same backwards from a gradient of that output, and puts GRADIENT of each input, named by its index. release
 * frees a trace that was given away; it is null where the trace is lent for the call. */
typedef struct {
  void *user; const secateur_call *calls; size_t call_count; secateur_value output; const uint32_t *classes; size_t class_count;
  int32_t (*replay)(void *user, size_t call, uint32_t part, const secateur_view *inputs, size_t count, secateur_sink out,
                    secateur_report report);
  int32_t (*vjp)(void *user, size_t call, uint32_t part, const secateur_view *inputs, size_t count, secateur_view gradient,
                 secateur_sink out, secateur_report report);
  void (*release)(void *user);
} secateur_trace;
typedef struct { void *user; void (*put)(void *user, const secateur_trace *trace); } secateur_trace_sink;

/* A training step, between the backward pass and the optimizer's update; trace is null where it was not asked for. */
typedef struct {
  uint64_t step; uint64_t epoch; size_t examples; secateur_params params; const secateur_signal *signals; size_t signal_count;
  const secateur_trace *trace;
} secateur_observation;

/* What is to be scored; group is empty where single weights are. to_go: how many of it, SIZE_MAX where all layers are ranked as one. */
typedef struct {
  secateur_str name; secateur_view weight; secateur_view mask; secateur_view grad; secateur_str group; size_t units; size_t axis;
  uint64_t step; uint64_t seed; size_t to_go; secateur_params params;
} secateur_target;

/* needs: 1 gradients, 2 inputs, 4 outputs, 8 output gradients (with 4), 16 preactivations, 32 trace, 64 probe, 128 penalty, 256
 * products. window: 0 the pruning step alone, 1 its epoch, 2 all since the last one. reduce: how weight scores become unit scores,
 * 0 sum, 1 l1, 2 l2, 3 mean, 4 max. normalize: how scores of several layers become comparable, 0 not said, 1 none, 2 mean, 3 size,
 * 4 l2, 5 z-score. */
typedef struct { uint32_t needs; uint32_t window; uint32_t reduce; uint32_t normalize; } secateur_info;

/* input: 0 a batch, 1 an example of ones, 2 per_class examples of each class, 3 one training example; number says which batch,
 * choice or example. mode: 0 training, 1 evaluation (ones are refused in training mode). objective: 0 loss of the logits divided
 * by temperature (1 for the loss as it is), 1 sum of outputs. replaced: parameters with other values. */
typedef struct {
  uint32_t input; uint32_t mode; uint64_t number; size_t per_class; uint32_t objective; double temperature;
  const secateur_signal *replaced; size_t replaced_count;
} secateur_question;

/* Both put GRADIENT of each parameter; hessian_vector the Hessian times a vector, given by parameter (missing parts are zero). */
typedef struct {
  void *user;
  int32_t (*gradients)(void *user, const secateur_question *, secateur_sink out, secateur_report report);
  int32_t (*hessian_vector)(void *user, const secateur_question *, const secateur_signal *vector, size_t count, secateur_sink out,
                            secateur_report report);
  secateur_params params;
} secateur_probe;

typedef struct { uint32_t kind; double fraction; } secateur_amount;
typedef struct { uint64_t steps; uint64_t steps_per_epoch; } secateur_run_length;

/* The burden of a parameter over its active weights: root mean square and mean magnitude of its gradient, root mean square of its
 * values, and how many there are. */
typedef struct { secateur_str name; double gradient; double gradient_mean; double weight; size_t kept; } secateur_indicators;

/* What was measured when a pruning step is due; validation_loss is NaN where it was not. */
typedef struct {
  uint64_t step; secateur_run_length run; double sparsity; double validation_loss; const secateur_indicators *burden;
  size_t burden_count;
} secateur_measured;

/* x [batch, tokens, dim]; wanted: bits of those whose gradient is wanted, 1 x, 2 metric, 4 sizes. */
typedef struct {
  secateur_view x; secateur_view metric; secateur_view sizes; const uint32_t *source; size_t source_count; uint32_t has_source;
  size_t protected_tokens; uint32_t wanted;
} secateur_tokens;
typedef struct { void *user; void (*put)(void *user, const secateur_tokens *tokens); } secateur_tokens_sink;
typedef struct { uint32_t kind; size_t index; size_t of; } secateur_stage;  /* kind: 0 before the encoder, 1 in a block */

typedef struct { const size_t *shape; size_t rank; size_t classes; } secateur_input_spec;
typedef struct { uint64_t macs; uint64_t macs_kept; } secateur_cost;

struct secateur_table;

/* create: context of the entry, options as TOML, threads to use, the new object. Needed: create, destroy, score. refit: after what
 * stays was decided (SECATEUR_KEEP of U8 by group for units, of F32 by parameter for weights), puts new values of parameters. */
typedef struct {
  size_t size;
  int32_t (*create)(const void *context, secateur_str options, size_t threads, void **out, secateur_report);
  void (*destroy)(void *self);
  int32_t (*info)(void *self, secateur_info *out, secateur_report);
  int32_t (*setup)(void *self, secateur_str layout_json, uint64_t seed, const struct secateur_table *plugins, secateur_report);
  int32_t (*layout)(void *self, secateur_str layout_json, secateur_report);
  int32_t (*observe)(void *self, const secateur_observation *, secateur_report);
  int32_t (*prepare)(void *self, const secateur_probe *, secateur_report);
  int32_t (*score)(void *self, const secateur_target *, secateur_sink out, secateur_report);
  int32_t (*penalty)(void *self, secateur_str name, secateur_view weight, double *value, secateur_sink out, secateur_report);
  int32_t (*cut)(void *self, secateur_str group, const size_t *kept, size_t count, secateur_report);
  int32_t (*reset)(void *self, secateur_report);
  int32_t (*save)(void *self, secateur_sink out, secateur_report);
  int32_t (*load)(void *self, const secateur_signal *entries, size_t count, secateur_report);
  int32_t (*refit)(void *self, const secateur_params *, const secateur_signal *keep, size_t count, secateur_sink out, secateur_report);
} secateur_criterion;

/* Needed: create, destroy, target. rewind gives UINT64_MAX where it does not. Where watches gives 1, target says the most that may
 * be asked, and adjust what is: the plan or less of the same kind. next gives the first step from one on
 * after which something may be pruned, or UINT64_MAX; target is asked at these alone, and everywhere where next is null. */
typedef struct {
  size_t size;
  int32_t (*create)(const void *context, secateur_str options, size_t threads, void **out, secateur_report);
  void (*destroy)(void *self);
  int32_t (*setup)(void *self, secateur_run_length, secateur_report);
  int32_t (*at_start)(void *self, secateur_run_length, secateur_amount *out, secateur_report);
  int32_t (*may_be_idle)(void *self, uint32_t *out, secateur_report);
  int32_t (*target)(void *self, uint64_t step, secateur_run_length, secateur_amount *out, secateur_report);
  int32_t (*rewind)(void *self, uint64_t step, secateur_run_length, uint64_t *to, secateur_report);
  int32_t (*save)(void *self, secateur_sink out, secateur_report);
  int32_t (*load)(void *self, const secateur_signal *entries, size_t count, secateur_report);
  int32_t (*watches)(void *self, uint32_t *out, secateur_report);
  int32_t (*adjust)(void *self, secateur_amount planned, const secateur_measured *seen, secateur_amount *out, secateur_report);
  int32_t (*next)(void *self, uint64_t from, secateur_run_length, uint64_t *step, secateur_report);
} secateur_schedule;

/* Needed: create, destroy, compress. backward consumes what compress left, and puts SECATEUR_TOKENS named x, metric, sizes. is_active
 * and needs_metric say whether it may change anything at a stage, and looks at the metric there; 1 where they are null. */
typedef struct {
  size_t size;
  int32_t (*create)(const void *context, secateur_str options, size_t threads, void **out, secateur_report);
  void (*destroy)(void *self);
  int32_t (*compress)(void *self, const secateur_tokens *, secateur_stage, secateur_tokens_sink out, void **left, secateur_report);
  int32_t (*backward)(void *left, secateur_view gradient, secateur_sink out, secateur_report);
  void (*forget)(void *left);
  int32_t (*is_active)(void *self, secateur_stage, uint32_t *out, secateur_report);
  int32_t (*needs_metric)(void *self, secateur_stage, uint32_t *out, secateur_report);
} secateur_compressor;

/* One forward pass. needs as in secateur_info; compressor is null where the run has none. training: whether dropout is on and batch
 * normalisation goes by the batch; backward: whether a backward pass may follow. kinks, of ReLUs, maxima and merges: 0 where they
 * lie now, 1 the same, to be remembered, 2 where they were remembered last; a model that cannot do so reports an error.
 * trace takes the operations of the pass, given away, where needs has the trace. */
typedef struct {
  secateur_params params; const secateur_signal *replaced; size_t replaced_count; secateur_view input; const uint32_t *classes;
  size_t examples; uint32_t needs; uint32_t training; uint32_t backward; uint32_t kinks; uint64_t noise; void *compressor;
  const secateur_compressor *compressor_table; secateur_trace_sink trace;
} secateur_pass;

/* All needed. forward puts LOGITS, or LOSS and PREDICTION, the signals in needs, and in training each BUFFER it moved; backward consumes what forward left, begins at
 * root (LOGITS, LOSS or PREDICTION), and puts GRADIENT of each parameter and OUTPUT_GRADIENT of each layer. */
typedef struct {
  size_t size;
  int32_t (*create)(const void *context, secateur_str options, size_t threads, void **out, secateur_report);
  void (*destroy)(void *self);
  int32_t (*layout)(void *self, const secateur_input_spec *, secateur_str sizes_json, secateur_text_sink out, secateur_report);
  int32_t (*network)(void *self, secateur_str layout_json, secateur_report);
  int32_t (*forward)(void *self, const secateur_pass *, secateur_sink out, secateur_cost *, void **left, secateur_report);
  int32_t (*backward)(void *left, uint32_t root, secateur_view gradient, secateur_sink out, secateur_report);
  void (*forget)(void *left);
} secateur_model;

/* default_value is TOML, empty where the option is off by default. */
typedef struct { secateur_str name; secateur_str doc; secateur_str ty; secateur_str default_value; } secateur_option;

/* table: the secateur_criterion (and so on) of this kind. check may be null; create is asked then. */
typedef struct {
  uint32_t kind; secateur_str name; secateur_str summary; secateur_str origin; secateur_str version;
  const secateur_option *options; size_t option_count; const void *context;
  int32_t (*check)(const void *context, secateur_str options, secateur_report);
  const void *table;
} secateur_entry;

typedef struct secateur_table { uint32_t abi; const secateur_entry *entries; size_t count; } secateur_table;

/* Reports an error in words: `return secateur_fail(report, "why");` */
static inline int32_t secateur_fail(secateur_report report, const char *message) {
  secateur_str none = {0, 0}, text = {(const uint8_t *)message, strlen(message)};
  report.put(report.user, SECATEUR_FAILED, none, none, text);
  return 1;
}

/* Reports an option: its key, the value found, what is allowed. */
static inline int32_t secateur_bad_option(secateur_report report, const char *key, secateur_str found, const char *allowed) {
  secateur_str k = {(const uint8_t *)key, strlen(key)}, text = {(const uint8_t *)allowed, strlen(allowed)};
  report.put(report.user, SECATEUR_BAD_OPTION, k, found, text);
  return 1;
}

/* Number of elements. */
static inline size_t secateur_count(secateur_view view) {
  size_t n = 1;
  for (size_t i = 0; i < view.rank; i++) n *= view.shape[i];
  return n;
}

#if defined(_WIN32)
#define SECATEUR_EXPORT __declspec(dllexport)
#else
#define SECATEUR_EXPORT __attribute__((visibility("default")))
#endif

#define SECATEUR_PLUGIN(list)                                                                             \
  SECATEUR_EXPORT extern const char secateur_plugin_stamp[];                                              \
  SECATEUR_EXPORT const char secateur_plugin_stamp[] = "secateur-plugin\nabi=3\nlanguage=C\n";            \
  SECATEUR_EXPORT const secateur_table *secateur_plugin_v3(void);                                         \
  SECATEUR_EXPORT const secateur_table *secateur_plugin_v3(void) {                                        \
    static const secateur_table table = {3, list, sizeof(list) / sizeof(*(list))};                        \
    return &table;                                                                                        \
  }

#ifdef __cplusplus
}
#endif
#endif
