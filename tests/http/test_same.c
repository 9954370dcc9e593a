/* The explorer's numbers are the command line's, bit for bit. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/safetensors.h"
#include "http/command.h"
#include "http/explored.h"
#include "read/recording.h"

static void forget_words(json_t *predictions) {
  json_t *one;
  size_t i;
  json_array_foreach(predictions, i, one) {
    assert_int_equal(json_object_del(one, "continuation"), 0);
    json_object_del(one, "continuation_ids");
  }
}

/* Words: along them, together, one of their tokens, taken away; text as it is written. */
static const struct {
  const char *path, *body, *arguments;
} twins[] = {
    {"/api/attribute", "\"target\":\"on the tree\",\"against\":\"zebra\",\"top\":50,\"verify\":3",
     "attribute " MODEL " --target 'on the tree' --against zebra --top 50 --verify 3"},
    {"/api/attribute", "\"target\":\"happy dog\",\"part\":2", "attribute " MODEL " --target 'happy dog' --part 2"},
    {"/api/attribute", "\"against\":\"happy dog\",\"position\":2",
     "attribute " MODEL " --against 'happy dog' --position 2"},
    {"/api/ablate", "\"target\":\"happy dog\",\"edits\":[{\"layer\":0,\"channel\":0,\"pos\":2}]",
     "ablate " MODEL " --target 'happy dog' --edit 'layers.0.neurons[pos=2,channel=0]*=0'"},
};

static void same_words(void **state) {
  (void)state;
  char body[600], line[600];
  for (size_t i = 0; i < sizeof twins / sizeof *twins; i++) {
    snprintf(body, sizeof body, "{\"text\":\"" TEXT "\",%s}", twins[i].body);
    snprintf(line, sizeof line, "%s --prompt '" TEXT "' --json", twins[i].arguments);
    json_t *a = ask(twins[i].path, body, 200), *b = command(line);
    assert_same(twins[i].arguments, a, b);
    json_decref(a);
    json_decref(b);
  }
}

/* The page's sliders: the exact sum of a word is the command's linear change. */
static void same_joint(void **state) {
  (void)state;
  json_t *j =
      ask("/api/joint", "{\"text\":\"" TEXT "\",\"target\":\"happy dog\",\"edits\":[{\"layer\":2,\"pos\":3}]}", 200);
  json_t *b =
      command("ablate " MODEL " --prompt '" TEXT "' --target 'happy dog' --edit 'layers.2.neurons[pos=3]*=0' --json");
  json_t *n;
  size_t i;
  double sum = 0;
  json_array_foreach(json_object_get(j, "neurons"), i, n) sum -=
      json_number_value(json_object_get(n, "value")) * json_number_value(json_object_get(n, "effect"));
  assert_true(fabs(sum - json_number_value(json_object_get(b, "linear_change"))) < 1e-6);
  json_decref(j);
  json_decref(b);
}

/* Text: the pieces of the stream are the answer, and the answer is the command's. */
static void same_text(void **state) {
  (void)state;
  static const struct {
    const char *body, *arguments;
  } all[] = {
      {"\"seed\":5", "--seed 5"},
      {"\"seed\":9007199254740991,\"temperature\":1.5,\"top_k\":7",
       "--seed 9007199254740991 --temperature 1.5 --top-k 7"},
      {"\"temperature\":0", "--greedy"},
      {"\"seed\":5,\"edits\":[{\"layer\":0,\"channel\":0,\"scale\":3}]",
       "--seed 5 --edit 'layers.0.neurons[channel=0]*=3'"},
      {"\"seed\":6,\"steer\":{\"layer\":1,\"toward\":\"happy\",\"away\":\"blue\",\"strength\":60}",
       "--seed 6 --layer 1 --toward happy --away blue --strength 60"},
  };
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    char body[400], line[400];
    snprintf(body, sizeof body, "{\"text\":\"" TEXT "\",\"max_tokens\":12,%s}", all[i].body);
    snprintf(line, sizeof line, "generate " MODEL " --prompt '" TEXT "' -n 12 --json %s", all[i].arguments);
    json_t *a = ask("/api/generate", body, 200), *b = command(line);
    const char *const keys[] = {"text", "ids", "reason", "prompt_tokens"};
    for (size_t k = 0; k < SGI_COUNT(keys); k++)
      assert_same(line, json_object_get(a, keys[k]), json_object_get(b, keys[k]));
    reply r = client_call(server, "/api/generate", body, "Accept: text/event-stream\r\n");
    char text[2000] = "";
    for (const char *at = r.body; (at = strstr(at, "event: piece\ndata: ")); at++) {
      json_t *piece = json_loads(at + 19, JSON_DISABLE_EOF_CHECK, NULL);
      strncat(text, json_string_value(json_object_get(piece, "text")), sizeof text - strlen(text) - 1);
      json_decref(piece);
    }
    assert_string_equal(text, json_string_value(json_object_get(a, "text")));
    assert_non_null(strstr(r.body, "event: done"));
    reply_free(&r);
    json_decref(a);
    json_decref(b);
  }
}

static void same_numbers(void **state) {
  (void)state;
  json_t *a = ask("/api/attribute", "{\"text\":\"" TEXT "\",\"against\":\"id:6\",\"top\":50,\"verify\":4}", 200);
  json_t *b = command("attribute " MODEL " --prompt '" TEXT "' --against id:6 --top 50 --verify 4 --json");
  assert_same("attribute", a, b);
  json_decref(a);
  json_decref(b);
  a = ask("/api/attribute", "{\"text\":\"" TEXT "\",\"true\":true,\"top\":20}", 200);
  b = command("attribute " MODEL " --prompt '" TEXT "' --true --top 20 --json");
  assert_same("true effects", a, b);
  json_decref(a);
  json_decref(b);
  a = ask("/api/directions", "{\"matrix\":\"ov\",\"layer\":1,\"head\":1,\"top\":5}", 200);
  b = command("svd " MODEL " --matrix ov --layer 1 --head 1 -n 5 --json");
  assert_same("directions", a, b);
  json_decref(a);
  json_decref(b);
  char line[500];
  snprintf(line, sizeof line, "sparse feature " MODEL " %s/tc -l 1 -i 9 --recording %s/rec --json", scratch, scratch);
  a = ask("/api/feature", "{\"layer\":1,\"index\":9,\"recorded\":true}", 200);
  b = command(line);
  assert_same("a feature", a, b);
  json_decref(a);
  json_decref(b);
  a = ask("/api/minimal", "{\"text\":\"" TEXT "\",\"heads\":true}", 200);
  b = command("minimal " MODEL " --prompt '" TEXT "' --heads --json");
  assert_same("minimal sets", a, b);
  json_decref(a);
  json_decref(b);
  a = ask("/api/ablate", "{\"text\":\"" TEXT "\",\"edits\":[{\"layer\":1,\"channel\":0,\"neuron\":3,\"scale\":0.5}]}",
          200);
  b = command("ablate " MODEL " --prompt '" TEXT "' --edit 'layers.1.neurons[channel=0,neuron=3]*=0.5' --json");
  assert_same("ablate", a, b);
  forget_words(json_object_get(b, "before")); /* predict tells every position, and no words */
  json_t *p = ask("/api/predict", "{\"text\":\"" TEXT "\"}", 200), *list = json_object_get(p, "predictions");
  assert_same("predict", json_array_get(list, json_array_size(list) - 1), json_object_get(b, "before"));
  json_t *l = ask("/api/lens", "{\"text\":\"" TEXT "\",\"top\":8}", 200), *layers = json_object_get(l, "layers");
  json_t *last = json_array_get(layers, json_array_size(layers) - 1);
  assert_same("lens of the last layer", json_object_get(last, "predictions"), list);
  json_decref(a);
  json_decref(b);
  json_decref(p);
  json_decref(l);
}

/* The graph of features against the file of `circuit -o`, a feature taken away against `circuit
 * --verify`, the second model against the first, as here they are the same. */
static void same_features(void **state) {
  (void)state;
  char line[600], path[300];
  snprintf(path, sizeof path, "%s/graph.json", scratch);
  snprintf(line, sizeof line, "circuit " MODEL " %s/tc --prompt '" TEXT "' --target id:5 --verify 1 -o %s --json",
           scratch, path);
  json_t *c = command(line), *file = golden_json(path);
  json_t *a = ask("/api/graph", "{\"text\":\"" TEXT "\",\"targets\":[\"id:5\"],\"features\":true}", 200);
  json_t *b =
      ask("/api/graph", "{\"text\":\"" TEXT "\",\"targets\":[\"id:5\"],\"features\":true,\"beside\":true}", 200);
  assert_true(json_equal(a, b));
  assert_same("error share", json_object_get(a, "error_share"),
              json_object_get(json_object_get(c, "graph"), "error_share"));
  assert_int_equal(json_array_size(json_object_get(a, "nodes")), json_array_size(json_object_get(file, "nodes")));
  assert_int_equal(json_array_size(json_object_get(a, "edges")), json_array_size(json_object_get(file, "links")));
  for (size_t i = 0; i < json_array_size(json_object_get(file, "links")); i++) {
    const json_t *edge = json_array_get(json_object_get(a, "edges"), i);
    char x[32], y[32];
    snprintf(x, sizeof x, "%.8e",
             json_number_value(json_object_get(json_array_get(json_object_get(file, "links"), i), "weight")));
    snprintf(y, sizeof y, "%.8e", json_number_value(json_array_get(edge, 2)));
    assert_string_equal(x, y);
  }
  json_decref(b);
  json_t *terms = json_object_get(c, "terms"), *first = NULL;
  for (size_t i = 0; i < json_array_size(terms) && !first; i++)
    if (json_is_number(json_object_get(json_array_get(terms, i), "true"))) first = json_array_get(terms, i);
  assert_non_null(first);
  snprintf(line, sizeof line,
           "{\"text\":\"" TEXT
           "\",\"target\":\"id:5\",\"edits\":[{\"layer\":%lld,\"feature\":%lld,\"position\":%lld}]}",
           (long long)json_integer_value(json_object_get(first, "layer")),
           (long long)json_integer_value(json_object_get(first, "feature")),
           (long long)json_integer_value(json_object_get(first, "position")));
  b = ask("/api/scale", line, 200);
  double took = json_number_value(json_object_get(b, "logit_change")),
         said = json_number_value(json_object_get(first, "true"));
  if (fabs(took + said) > 1e-5) fail_msg("a feature taken away: %g, circuit --verify says %g", took, said);
  json_decref(a);
  json_decref(b);
  json_decref(c);
  json_decref(file);
  a = ask("/api/scale", "{\"text\":\"" TEXT "\",\"edits\":[{\"layer\":9}]}", 400);
  json_decref(a);
  a = ask("/api/feature", "{\"layer\":1,\"index\":32}", 400);
  assert_non_null(strstr(json_string_value(json_object_get(a, "error")), "features 0 to 31"));
  json_decref(a);
}

/* The card with its recording, for a neuron that fires; then along the prompt, against the command
 * and against a trace. */
static void same_neuron(void **state) {
  (void)state;
  char line[700];
  int32_t index[64];
  float score[64];
  sgi_recording_circuit(reading.rec, 1, 3, index, score); /* TEXT begins as the recorded text does */
  size_t K = reading.slots[0].top_k, neuron = (size_t)index[2 * K];
  snprintf(line, sizeof line, "{\"layer\":1,\"channel\":2,\"index\":%zu,\"top\":7,\"excerpts\":6}", neuron);
  json_t *a = ask("/api/neuron", line, 200);
  snprintf(line, sizeof line,
           "neuron " MODEL
           " --layer 1 --channel 2 --index %zu --top 7 --links 7 --excerpts 6 --recording %.200s/rec --json",
           neuron, scratch);
  json_t *b = command(line), *recorded = json_object_get(a, "recorded");
  json_t *function = json_incref(json_object_get(a, "function"));
  json_object_del(a, "function");
  assert_same("neuron", a, b);
  json_decref(b);
  snprintf(line, sizeof line, "functions show %.200s/F --neuron 1:2:%zu --json", scratch, neuron);
  b = command(line);
  assert_same("function", function, b);
  json_decref(function);
  assert_true(json_integer_value(json_object_get(recorded, "count")) > 0);
  assert_true(json_array_size(json_object_get(recorded, "excerpts")) > 6);
  json_decref(a);
  json_decref(b);
  snprintf(line, sizeof line, "{\"text\":\"" TEXT "\",\"layer\":1,\"channel\":2,\"index\":%zu}", neuron);
  a = ask("/api/activation", line, 200);
  snprintf(line, sizeof line, "neuron " MODEL " -l 1 -c 2 -i %zu --prompt '" TEXT "' --json", neuron);
  b = command(line);
  assert_same("activation", a, json_object_get(b, "prompt"));
  json_decref(b);
  /* trace puts the begin token in front of its targets and reads all but the last of them. */
  const json_t *tokens = json_object_get(a, "tokens");
  size_t n = json_array_size(tokens), k = 0, fires = 0;
  char ids[200] = "", path[200];
  for (size_t i = 1; i < n; i++)
    k += (size_t)sprintf(ids + k, "%lld,",
                         (long long)json_integer_value(json_object_get(json_array_get(tokens, i), "id")));
  snprintf(path, sizeof path, "%.150s/trace.safetensors", scratch);
  snprintf(line, sizeof line, "echo '[[%s5]]' | %.100s -q trace " MODEL " --ids - --only 'layers.1.*' -o %s", ids,
           command_path(), path);
  assert_int_equal(system(line), 0);
  sgi_safetensors *f;
  assert_sg_ok(sgi_safetensors_open(path, &f, err));
  const int32_t *chosen = sgi_safetensors_find(f, "layers.1.router.indices")->data;
  const float *gates = sgi_safetensors_find(f, "layers.1.router.scores")->data,
              *values = sgi_safetensors_find(f, "layers.1.neurons")->data;
  size_t C = reading.slots[0].channels;
  for (size_t t = 0; t < n; t++) {
    double gate = 0, value = 0;
    for (size_t s = 0; s < K; s++) {
      size_t at = (t * C + 2) * K + s;
      if ((size_t)chosen[at] == neuron) gate = (double)gates[at], value = (double)values[at], fires++;
    }
    char x[64], y[64];
    snprintf(x, sizeof x, "%.8e %.8e", gate, value);
    snprintf(y, sizeof y, "%.8e %.8e", json_number_value(json_array_get(json_object_get(a, "gate"), t)),
             json_number_value(json_array_get(json_object_get(a, "value"), t)));
    assert_string_equal(x, y);
  }
  assert_true(fires > 0);
  sgi_safetensors_close(f);
  json_decref(a);
}

static void same_places(void **state) {
  (void)state;
  char line[300];
  json_t *a = ask("/api/neighbors", "{\"find\":\" dog\",\"nth\":3,\"layer\":1,\"count\":25}", 200);
  snprintf(line, sizeof line, "neighbors %.200s/rec --find ' dog' --nth 3 --layer 1 -n 25 --json", scratch);
  json_t *b = command(line);
  json_object_del(a, "seconds");
  json_object_del(b, "seconds");
  assert_true(json_array_size(json_object_get(a, "neighbors")) == 25);
  assert_same("neighbors", a, b);
  json_decref(a);
  json_decref(b);
  /* A typed prompt: as the command, and equal texts are equal circuits. */
  a = ask("/api/neighbors", "{\"text\":\"The old dog\",\"pos\":-2,\"layer\":1,\"count\":12}", 200);
  snprintf(line, sizeof line, "neighbors " MODEL " %.200s/rec --prompt 'The old dog' --pos -2 --layer 1 -n 12 --json",
           scratch);
  b = command(line);
  json_object_del(a, "seconds");
  json_object_del(b, "seconds");
  assert_same("neighbours of a prompt", a, b);
  assert_true(json_number_value(json_object_get(json_array_get(json_object_get(a, "neighbors"), 11), "distance")) <
              1e-6);
  assert_string_equal(
      json_string_value(json_object_get(json_array_get(json_object_get(a, "neighbors"), 0), "token")),
      json_string_value(json_object_get(
          json_array_get(json_object_get(json_object_get(a, "query"), "tokens"),
                         (size_t)json_integer_value(json_object_get(json_object_get(a, "query"), "position"))),
          "text")));
  json_decref(a);
  json_decref(b);
  /* Positions of the first documents are those of all that lie in them. */
  int32_t index[64];
  sgi_recording_circuit(reading.rec, 0, 20, index, NULL);
  snprintf(line, sizeof line, "{\"neurons\":[{\"channel\":0,\"neuron\":%d}],\"layer\":0,\"documents\":9}", index[0]);
  a = ask("/api/fires", line, 200);
  snprintf(line, sizeof line, "{\"neurons\":[{\"channel\":0,\"neuron\":%d}],\"layer\":0}", index[0]);
  b = ask("/api/fires", line, 200);
  size_t end, rest, inside = 0;
  sgi_recording_document(reading.rec, 9, &end, &rest);
  sgi_postings list = sgi_recording_postings(reading.rec, 0, 0, (size_t)index[0]);
  assert_int_equal(list.count, json_array_size(json_object_get(b, "positions")));
  for (size_t i = 0; i < list.count; i++) {
    assert_int_equal(list.position[i], json_integer_value(json_array_get(json_object_get(b, "positions"), i)));
    inside += list.position[i] < end;
  }
  assert_int_equal(inside, json_array_size(json_object_get(a, "positions")));
  assert_true(inside > 0 && inside < list.count);
  json_decref(a);
  json_decref(b);
  a = ask("/api/together", "{\"neurons\":[{\"channel\":0,\"neuron\":3},{\"channel\":1,\"neuron\":4}],\"layer\":0}",
          200);
  snprintf(line, sizeof line, "neighbors %.200s/rec --neurons 0:3,1:4 --layer 0 --json", scratch);
  b = command(line);
  assert_same("together", a, b);
  json_decref(a);
  json_decref(b);
}

/* Parts by head add up to their edges, up to the parts under 1 % that are left out. */
static void split_graph(void **state) {
  (void)state;
  json_t *a = ask("/api/graph", "{\"text\":\"" TEXT "\",\"heads\":true}", 200);
  const json_t *edges = json_object_get(a, "edges"), *heads = json_object_get(a, "heads");
  assert_int_equal(json_array_size(edges), json_array_size(heads));
  bool split = false;
  for (size_t i = 0; i < json_array_size(edges); i++) {
    const json_t *parts = json_array_get(heads, i);
    double weight = json_number_value(json_array_get(json_array_get(edges, i), 2)), sum = 0;
    for (size_t k = 0; k < json_array_size(parts); k++)
      sum += json_number_value(json_array_get(json_array_get(parts, k), 2));
    if (fabs(sum - weight) > 0.12 * fabs(weight) + 1e-6) fail_msg("edge %zu: %g, parts %g", i, weight, sum);
    split |= json_array_size(parts) > 1;
  }
  assert_true(split);
  json_decref(a);
}

/* Points of the map are the command's, and a map that was made is not made again. */
static void same_map(void **state) {
  (void)state;
  static const char *const columns[] = {"x", "y", "label", "position", "document", "place", "input", "target"};
  char line[512];
  json_t *a = ask("/api/map", "{\"layer\":1,\"by\":\"target\",\"documents\":30,\"epochs\":40,\"seed\":5}", 200);
  snprintf(line, sizeof line, "map %.200s/rec --layer 1 --by target --documents 30 --epochs 40 --seed 5 --json",
           scratch);
  json_t *b = command(line), *points = json_object_get(b, "points");
  assert_true(json_array_size(points) > 100);
  for (size_t k = 0; k < sizeof columns / sizeof *columns; k++) {
    json_t *list = json_array();
    for (size_t i = 0; i < json_array_size(points); i++)
      json_array_append(list, json_object_get(json_array_get(points, i), columns[k]));
    assert_same(columns[k], json_object_get(a, columns[k]), list);
    json_decref(list);
  }
  json_t *again = ask("/api/map", "{\"seed\":5,\"epochs\":40,\"documents\":30,\"by\":\"target\",\"layer\":1}", 200);
  assert_same("the same map", json_object_get(a, "seconds"), json_object_get(again, "seconds"));
  /* A prompt's positions on that map: nearest of the command's neighbours that are points of it. */
  json_t *near = ask("/api/locate", "{\"text\":\"" TEXT "\",\"layer\":1,\"by\":\"target\",\"documents\":30}", 200),
         *spots = json_object_get(near, "position");
  assert_int_equal(json_array_size(spots), json_array_size(json_object_get(near, "tokens")));
  for (size_t t = 0; t < json_array_size(spots); t += 2) {
    snprintf(line, sizeof line,
             "neighbors " MODEL " %.200s/rec --prompt '" TEXT "' --pos %zu --layer 1 -n 100000 --json", scratch, t);
    json_t *all = command(line), *row, *found = NULL;
    size_t k;
    json_array_foreach(json_object_get(all, "neighbors"), k, row) {
      for (size_t p = 0; p < json_array_size(points) && !found; p++)
        if (json_equal(json_object_get(json_array_get(points, p), "position"), json_object_get(row, "position")))
          found = row;
      if (found) break;
    }
    assert_non_null(found);
    assert_same("place on the map", json_array_get(spots, t), json_object_get(found, "position"));
    assert_same("distance on the map", json_array_get(json_object_get(near, "distance"), t),
                json_object_get(found, "distance"));
    json_decref(all);
  }
  json_decref(near);
  /* Story 0 is of topic farm, the others have none in the file; "dog" has a category, "sat" has
   * two. */
  assert_string_equal(json_string_value(json_array_get(json_object_get(a, "topics"), 0)), "farm");
  json_t *token;
  size_t i, animals = 0;
  json_array_foreach(json_object_get(a, "tokens"), i, token) {
    const char *text = json_string_value(json_object_get(token, "token")),
               *category = json_string_value(json_object_get(token, "category"));
    animals += category && !strcmp(category, "animal") && !strcmp(text, " dog");
    assert_true(!category || !strcmp(text, " dog"));
  }
  assert_int_equal(animals, 1);
  for (i = 0; i < json_array_size(points); i++) {
    json_int_t at = json_integer_value(json_array_get(json_object_get(a, "document"), i));
    assert_int_equal(json_integer_value(json_array_get(json_object_get(a, "topic"), i)), at ? -1 : 0);
  }
  json_decref(a);
  json_decref(b);
  json_decref(again);
}

/* Topics are those of the split that the recorded text is called; where its name is none, the page
 * is told why. */
static void other_splits(void **state) {
  (void)state;
  char line[512], path[300];
  snprintf(line, sizeof line, "cd %.200s && cp valid.txt train.txt && cp valid.txt other.txt", scratch);
  assert_int_equal(system(line), 0);
  static const char *const names[] = {"train", "other"};
  for (size_t i = 0; i < 2; i++) {
    snprintf(line, sizeof line, "record " MODEL " --data %.100s/%s.txt --split blank-lines -o %.100s/rec-%s", scratch,
             names[i], scratch, names[i]);
    command_run(line);
    sgi_record_reader r;
    sgi_known_world w;
    snprintf(path, sizeof path, "%.200s/rec-%s", scratch, names[i]);
    assert_sg_ok(sgi_record_reader_open(path, &r, err));
    assert_sg_ok(sgi_known_world_load(&w, scratch, &r, err));
    assert_string_equal(w.split, names[i]);
    if (i) {
      assert_null(w.topic_of);
    } else {
      assert_int_equal(w.topic_of[0], -1);
      assert_int_equal(w.topic_of[1], 0); /* the split train tells of story 1 alone */
      assert_non_null(json_object_get(w.topics, "sea"));
      assert_int_equal(json_object_size(w.topics), 1);
    }
    sgi_known_world_deinit(&w);
    sgi_record_reader_close(&r);
  }
}

/* Pairs, sets and the layer's score are the command's; what the page is told besides are the texts
 * of the tokens that pairs name. */
static void same_superposition(void **state) {
  (void)state;
  static const char *const controls[][2] = {{"false", ""}, {"true", "--shuffled"}};
  for (size_t i = 0; i < 2; i++) {
    char body[300], line[512];
    snprintf(body, sizeof body,
             "{\"layer\":2,\"min_together\":6,\"min_lift\":1.2,\"pairs\":60,\"places\":5,\"seed\":3,\"shuffled\":%s}",
             controls[i][0]);
    snprintf(line, sizeof line,
             "superposition " MODEL
             " --recording %.200s/rec --layer 2 --min-together 6 --min-lift 1.2 --pairs 60 "
             "--places 5 --seed 3 %s --json",
             scratch, controls[i][1]);
    json_t *a = ask("/api/superposition", body, 200), *b = command(line), *pair, *id, *token;
    json_t *tokens = json_incref(json_object_get(a, "tokens")), *named = json_array();
    json_object_del(a, "tokens");
    assert_same(line, a, b);
    assert_int_equal(json_array_size(json_object_get(a, "pairs")), 60);
    assert_true(json_integer_value(json_object_get(a, "scored_pairs")) > 0);
    size_t k, n;
    json_array_foreach(tokens, k, token) json_array_append(named, json_object_get(token, "id"));
    json_array_foreach(json_object_get(a, "pairs"), k, pair) {
      json_array_foreach(json_object_get(pair, "joint_only"), n, id) {
        size_t at = 0;
        while (at < json_array_size(named) && !json_equal(json_array_get(named, at), id)) at++;
        assert_true(at < json_array_size(named));
      }
    }
    json_decref(named);
    json_decref(tokens);
    json_decref(a);
    json_decref(b);
  }
}

static void same_facts(void **state) {
  (void)state;
  char line[512];
  json_t *a = ask("/api/patch", "{\"layers\":[[0],[1,2]]}", 200);
  snprintf(line, sizeof line, "facts patch " MODEL " --facts %.200s/facts.json --layers 0 --layers 1-2 --json",
           scratch);
  json_t *b = command(line);
  assert_same("patched runs", a, b);
  json_decref(a);
  json_decref(b);
  a = ask("/api/patch", "{\"clean\":\"tree\",\"counterfactual\":\"dog\",\"at\":\"last\"}", 200);
  snprintf(line, sizeof line,
           "facts patch " MODEL " --facts %.200s/facts.json --noun dog --noun tree --at last --pairs --json", scratch);
  b = command(line);
  assert_same("a pair", a, b);
  assert_int_equal(json_integer_value(json_object_get(a, "n_pairs")), 2);
  json_decref(a);
  json_decref(b);
}

static void same_graph(void **state) {
  (void)state;
  char *dir = golden_temporary(), line[512], path[200];
  snprintf(path, sizeof path, "%s/g.json", dir);
  snprintf(line, sizeof line, "graph " MODEL " --prompt '" TEXT "' -o %s --json", path);
  json_t *b = command(line), *file = golden_json(path), *a = ask("/api/graph", "{\"text\":\"" TEXT "\"}", 200);
  static const char *const shares[] = {"all_nodes",  "explored",    "node_share",
                                       "edge_share", "input_share", "worst_residue"};
  for (size_t i = 0; i < sizeof shares / sizeof *shares; i++)
    assert_same(shares[i], json_object_get(a, shares[i]), json_object_get(b, shares[i]));
  const json_t *links = json_object_get(file, "links"), *edges = json_object_get(a, "edges");
  assert_int_equal(json_array_size(links), json_array_size(edges));
  for (size_t i = 0; i < json_array_size(edges); i++) {
    char x[40], y[40]; /* the file holds all digits, an answer 9 of them */
    snprintf(x, sizeof x, "%.8e", json_number_value(json_object_get(json_array_get(links, i), "weight")));
    snprintf(y, sizeof y, "%.8e", json_number_value(json_array_get(json_array_get(edges, i), 2)));
    assert_string_equal(x, y);
  }
  json_decref(a);
  json_decref(b);
  json_decref(file);
  golden_remove(dir);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(same_numbers), cmocka_unit_test(same_features), cmocka_unit_test(same_words),
      cmocka_unit_test(same_joint),   cmocka_unit_test(same_text),     cmocka_unit_test(same_places),
      cmocka_unit_test(same_neuron),  cmocka_unit_test(same_graph),    cmocka_unit_test(split_graph),
      cmocka_unit_test(same_map),     cmocka_unit_test(other_splits),  cmocka_unit_test(same_superposition),
      cmocka_unit_test(same_facts)};
  return cmocka_run_group_tests(tests, explored_start, explored_stop);
}
