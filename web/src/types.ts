// Made by tools/openapi_types.mjs from server/openapi.json; not to be edited.
export type Error = {
  status: number;
  error: string;
};
export type Token = {
  id: number;
  text: string;
  bytes?: string;
};
export type MaybeToken = Token | null;
export type Tokens = Token[];
export type Prediction = {
  id: number;
  text: string;
  bytes?: string;
  probability: number | null;
  logit: number | null;
  continuation?: string;
  continuation_ids?: number[];
};
export type Valued = {
  id: number;
  text: string;
  bytes?: string;
  value: number | null;
};
export type Info = {
  version: string;
  commit: string;
  max_tokens: number;
  tokenizer: boolean;
  run: boolean;
  worlds: boolean;
  facts: boolean;
  file: string | null;
  study: string | null;
  data: string | null;
  recording: {
    positions: number;
    documents: number;
    layers: number[];
    channels: number;
  } | null;
  no_topics: string | null;
  names: boolean;
  examples: {
    text: string;
    twin: string | null;
  }[];
  model: Model | null;
  sparse: Sparse | null;
  beside: {
    model: Model;
    sparse: Sparse | null;
  } | null;
};
export type Model = {
  name: string;
  feedforward: string;
  router: string;
  activation: string;
  layers: number;
  heads: number;
  width: number;
  vocabulary: number;
  neurons: number;
  channels: number;
  top_k: number;
  max_position: number;
  parameters: number;
  bos: MaybeToken;
};
export type Documents = {
  total: number | null;
  documents: {
    number: number;
    bytes: number;
    start: string;
  }[];
};
export type Document = {
  number: number;
  total: number | null;
  text: string;
  bytes: number;
  from: number;
  cut: boolean;
  tokens: number;
};
export type GraphFile = {
  name: string;
  file: Record<string, unknown>;
};
export type StudyRun = {
  name: string;
  kind: string;
  scale: string;
  sweep: boolean;
  budget: number;
  seed: number;
  state: "waiting" | "begun" | "done" | "diverged";
  problem: string | null;
  parameters: number;
  non_embedding_parameters: number;
  steps: number;
  flops: number;
  variant: number | null;
  step: number;
  seconds: number | null;
  memory_bytes: number | null;
  train_loss: number | null;
  valid_loss: number | null;
  standard_error: number | null;
  perplexity: number | null;
};
export type StudyCurve = {
  name: string;
  step: (number | null)[];
  flops: (number | null)[];
  seconds: (number | null)[];
  loss: (number | null)[];
};
export type StudyOptimum = {
  kind: string;
  budget: number;
  points: number;
  non_embedding_parameters: number;
  loss: number;
  inside: boolean;
  parabola: number[] | null;
  flops: number;
  seconds: number;
  cpu_seconds?: number;
  memory_bytes: number;
};
export type StudyTiming = {
  by: "runs" | "timings";
  problem: string | null;
  processor: string | null;
  processors: number | null;
  instructions: string | null;
  threads: number | null;
  rounds: number | null;
  date: string | null;
};
export type StudyFactors = {
  ended: number;
  runs: number;
  timing: StudyTiming;
  against: string[];
  resampled_documents: number;
  resampled_rows: number;
  factors: {
    kind: string;
    against: string;
    by: "flops" | "seconds" | "cpu_seconds" | "memory_bytes";
    factor: number;
    low: number | null;
    high: number | null;
    resamples: number;
    extrapolated: boolean;
  }[];
  no_factors: {
    kind: string;
    against: string;
    by: "flops" | "seconds" | "cpu_seconds" | "memory_bytes";
    why: string;
  }[];
};
export type Study = {
  seen: number;
  more: boolean;
  asked: {
    kinds: string[];
    scales: string[];
    budgets: number[];
    seeds: number[];
  };
  left: number;
  timing: StudyTiming;
  runs: StudyRun[];
  curves: StudyCurve[];
  optima: StudyOptimum[];
  train_optima: StudyOptimum[];
  best_settings: {
    kind: string;
    variant: number | null;
    set: string[];
    on_an_edge: string;
  }[];
};
export type Metrics = {
  lines: (Record<string, number | null>)[];
  next: number;
  more: boolean;
};
export type Margin = {
  distance: number | null;
  relative: number | null;
  layer: number;
  channel: number;
  loses: number;
  wins: number;
};
export type Predict = {
  warning?: string;
  tokens: Tokens;
  losses: (number | null)[];
  predictions: Prediction[][];
};
export type Margins = {
  warning?: string;
  tokens: Tokens;
  margins: (Margin | null)[] | null;
};
export type Direction = {
  side: "read" | "written" | "neurons" | "tokens";
  ends: {
    id?: number;
    text?: string;
    bytes?: string;
    score?: number | null;
    channel?: number;
    index?: number;
    weight?: number | null;
  }[][];
};
export type Directions = {
  matrix: string;
  layer: number | null;
  head: number | null;
  distance: number | null;
  channel: number | null;
  frobenius2: number | null;
  values: (number | null)[];
  directions: {
    index: number;
    value: number | null;
    share: number | null;
    subspace: number;
    left: Direction;
    right: Direction;
  }[];
};
export type Recalled = {
  rank: (number | null)[];
  best: MaybeToken[];
};
export type Recall = {
  warning?: string;
  tokens: Tokens;
  position: number;
  subject: number[];
  answer: Token;
  probability: number | null;
  window: number;
  sets: {
    set: string;
    change: (number | null)[];
  }[];
  attention: Recalled;
  feedforward: Recalled;
};
export type Lens = {
  warning?: string;
  tokens: Tokens;
  layers: {
    site: string;
    predictions: Prediction[][];
  }[];
  target?: {
    word: Word;
    position: number;
    layers: {
      site: string;
      log_probability: number | null;
      probability: number | null;
      logit: number | null;
      rank: number;
    }[];
  };
};
export type Attention = {
  warning?: string;
  tokens: Tokens;
  layer: number;
  heads: (((number | null)[])[])[];
};
export type Term = {
  kind: "embedding" | "head" | "neuron" | "bias";
  layer?: number;
  head?: number;
  source?: number;
  channel?: number;
  index?: number;
  position: number;
  token: number;
  value?: number | null;
  effect: number | null;
  true_effect?: number | null;
  gates_held?: number | null;
  rerouting?: number | null;
  gates_changed?: number;
  missed?: number | null;
};
export type Word = {
  text: string;
  ids: number[];
  log_probability: number | null;
  probability: number | null;
};
export type PhrasePart = {
  token: Token;
  against: boolean;
  position: number;
  logit: number | null;
  log_probability: number | null;
  sum: number | null;
  residue: number | null;
  sum_abs: number | null;
  total_sum: number | null;
  total_residue: number | null;
  total_sum_abs: number | null;
};
export type Phrase = {
  target: Word;
  against: Word | null;
  parts: PhrasePart[];
};
export type Continue = {
  position: number;
  continuations: {
    id: number;
    whole: boolean;
    continuation: string;
    continuation_ids: number[];
  }[];
};
export type Generate = {
  text: string;
  ids: number[];
  reason: "eos" | "length" | "context";
  prompt_tokens: number;
};
export type Attribute = {
  warning?: string;
  tokens: Tokens;
  position: number;
  target: Token;
  against: MaybeToken;
  target_logit: number | null;
  sum: number | null;
  residue: number | null;
  sum_abs: number | null;
  terms: Term[];
  total: {
    sum: number | null;
    residue: number | null;
    sum_abs: number | null;
    terms: Term[];
  };
  neurons: Term[];
  heads: Term[];
  phrase?: Phrase;
  true?: {
    neurons: TrueEffects;
    heads: TrueEffects;
    left_out: number;
  };
};
export type MinimalSet = {
  count: number;
  first: number;
  margin: number | null;
  terms: Term[];
};
export type Minimal = {
  tokens: Tokens;
  position: number;
  target: Token;
  against: MaybeToken;
  others: "zero" | "mean";
  population: number;
  margin: number | null;
  silent: number | null;
  runs: number;
  keep: MinimalSet | null;
  lose: MinimalSet | null;
};
export type TrueEffects = {
  count: number;
  sum_abs: number | null;
  rerouting: number | null;
  rank: number | null;
  terms: Term[];
};
export type Ablate = {
  warning?: string;
  tokens: Tokens;
  position: number;
  edits: {
    edit: string;
    changed: number;
  }[];
  target: Token;
  word?: Word;
  logit_change: number | null;
  linear_change: number | null;
  probability_before: number | null;
  probability_after: number | null;
  kl: number | null;
  before: Prediction[];
  after: Prediction[];
};
export type Joint = {
  warning?: string;
  tokens: Tokens;
  position: number;
  target: Token;
  neurons: {
    layer: number;
    channel: number;
    index: number;
    position: number;
    value: number | null;
    effect: number | null;
  }[];
  links: ([number, number, number])[];
};
export type Ends = {
  top: Valued[];
  bottom: Valued[];
};
export type Place = {
  position: number;
  document: number;
  place: number;
  input: number;
  target: number;
  token: string | null;
  excerpt: string | null;
  predictions: (string | null)[];
  prediction_ids: number[];
  distance?: number | null;
};
export type PromptPlace = {
  tokens: Tokens;
  position: number;
};
export type Neighbors = {
  warning?: string;
  layer: number;
  channel: number | string;
  query: Place | PromptPlace;
  neighbors: Place[];
  seconds: number | null;
};
export type MapToken = {
  id: number;
  token: string | null;
  category: string | null;
  count?: number;
};
export type Map = {
  layer: number;
  channel: number;
  by: "input" | "target";
  n: number;
  seconds: number | null;
  labels: MapToken[];
  tokens: MapToken[];
  topics: string[] | null;
  x: number[];
  y: number[];
  label: number[];
  position: number[];
  document: number[];
  place: number[];
  input: number[];
  target: number[];
  topic: number[];
};
export type ChannelNeuron = {
  channel: number;
  neuron: number;
};
export type SuperPair = {
  neurons: [ChannelNeuron, ChannelNeuron];
  together: number;
  alone: [number, number];
  lift: number | null;
  places: number;
  score: number | null;
  null: number | null;
  excess: number | null;
  signed: number | null;
  signed_null: number | null;
  joint_only: number[];
};
export type SuperSet = {
  neurons: ChannelNeuron[];
  together: number;
  effect: number | null;
  sum_of_effects: number | null;
};
export type Superposition = {
  layer: number;
  positions: number;
  scored_pairs: number;
  mean_excess: number | null;
  interval: [number | null, number | null];
  p: number | null;
  mean_signed: number | null;
  pairs: SuperPair[];
  sets: SuperSet[];
  settings: {
    min_together: number;
    min_lift: number;
    null_lift: number;
    max_pairs: number;
    max_places: number;
    samples: number;
    shuffled: boolean;
    seed: number;
  };
  tokens: Token[];
};
export type Located = {
  warning?: string;
  tokens: Tokens;
  position: (number | null)[];
  distance: (number | null)[];
};
export type Facts = {
  before: string;
  after: string;
  types: string[];
  type: string;
  nouns: {
    noun: string;
    answers: {
      answer: string;
      count: number;
    }[];
    single: boolean;
  }[];
};
export type PatchKnown = {
  logitdiff_clean: number | null;
  logitdiff_counterfactual: number | null;
  logitdiff_intervened: number | null;
  recovered_effect: number | null;
  median_recovered: number | null;
  rank_flip: number | null;
};
export type PatchMean = {
  logitdiff_clean: number | null;
  logitdiff_counterfactual: number | null;
  logitdiff_intervened: number | null;
  recovered_effect: number | null;
  rank_flip: number | null;
  correct_clean: number | null;
  correct_counterfactual: number | null;
};
export type PatchPair = {
  logitdiff_clean: number | null;
  logitdiff_counterfactual: number | null;
  logitdiff_intervened: number | null;
  recovered_effect: number | null;
  clean: string;
  counterfactual: string;
  rank_flip: boolean;
  correct_clean: boolean;
  correct_counterfactual: boolean;
};
export type Patch = {
  nouns: number;
  distinct: number;
  distinct_proven: boolean;
  prompts: {
    noun: string;
    answers: (Token | {
      text: string;
      ids: number[];
    })[];
  }[];
  n_pairs: number;
  n_known: number;
  at: "noun" | "last";
  what: "gates" | "neurons" | "embedding";
  from: "counterfactual" | "another";
  runs: {
    layers: number[];
    known: PatchKnown;
    mean: PatchMean;
    pairs?: PatchPair[];
  }[];
};
export type Together = {
  layer: number;
  neurons: {
    channel: number;
    neuron: number;
  }[];
  count: number;
  expected: number | null;
  lift: number | null;
  positions: Place[];
};
export type Link = {
  layer: number;
  channel: number;
  index: number;
  weight: number | null;
};
export type Histogram = {
  low: number | null;
  high: number | null;
  counts: number[];
};
export type Firing = {
  side: "for" | "against";
  quantile: number | null;
  value: number | null;
  gate: number | null;
  position: number;
  document: number;
  place: number;
  before: Valued[];
  token: Token;
  after: Valued[];
  target: MaybeToken;
};
export type Fires = {
  count: number;
  for: number;
  against: number;
  kept: boolean;
  density: number | null;
  positions: number;
  agreement: number | null;
  agreement_tokens: number;
  written_agreement: number | null;
  written_tokens: number;
  excerpts: Firing[];
  partners: {
    channel: number;
    index: number;
    together: number;
    lift: number | null;
  }[];
  gates: Histogram;
  values: Histogram;
};
export type Activation = {
  warning?: string;
  tokens: Tokens;
  layer: number;
  channel: number;
  index: number;
  chosen: boolean[];
  gate: (number | null)[] | null;
  input: (number | null)[];
  value: (number | null)[];
};
export type FiresAt = {
  layer: number;
  count: number;
  positions: number[];
};
export type Neuron = {
  layer: number;
  channel: number;
  index: number;
  pool?: {
    number: number;
    of: number;
  };
  reads: Ends;
  opens?: Ends;
  value?: Ends;
  writes: Ends;
  upstream: Link[];
  downstream: Link[];
  recorded?: Fires;
  unrecorded?: string;
  function?: Formula;
};
export type Formula = {
  layer: number;
  channel: number;
  index: number;
  stands: boolean;
  formula: string | null;
  samples: number;
  r2_fit: number | null;
  r2: number | null;
  edges: {
    feature: number;
    form: string;
  }[];
  points: ((number | null)[])[];
  bytes: number;
  bytes_matrix: number;
};
export type NeuronRow = {
  layer: number;
  channel: number;
  index: number;
  label: string;
  recorded: boolean;
  name: string | null;
  author: string | null;
  time: number | null;
  count: number | null;
  frequency: number | null;
  largest: number | null;
  strength: number | null;
  norm: number | null;
  score: number | null;
};
export type Neurons = {
  found: number;
  from: number;
  question: string | null;
  token: Token | null;
  neurons: NeuronRow[];
};
export type Labels = {
  labels: {
    layer: number;
    channel: number;
    index: number;
    label: string;
    automatic: string;
    author: string;
    given: boolean;
  }[];
};
export type Sparse = {
  name: string;
  layers: number[];
  features: number;
  activation: string;
};
export type ReadToken = {
  token: Token;
  value: number | null;
};
export type FeatureLink = {
  layer: number;
  feature: number;
  weight: number | null;
};
export type Feature = {
  layer: number;
  feature: number;
  features: number;
  bias: number | null;
  threshold?: number | null;
  reads: ReadToken[];
  writes: ReadToken[];
  nearest?: {
    channel: number;
    neuron: number;
    encoder: number | null;
    decoder: number | null;
  };
  alike: {
    feature: number;
    encoder: number | null;
    decoder: number | null;
  }[];
  upstream?: FeatureLink[];
  downstream?: FeatureLink[];
  recorded?: {
    positions: number;
    count: number;
    density: number | null;
    mean: number | null;
    top: {
      position: number;
      value: number | null;
      excerpt: string | null;
    }[];
  };
};
export type Scale = {
  warning?: string;
  tokens: Tokens;
  position: number;
  target: MaybeToken;
  edits: {
    layer: number;
    feature: number;
    position: number | null;
    scale: number | null;
    met: number;
  }[];
  features: {
    layer: number;
    feature: number;
    position: number;
    value: number | null;
    effect: number | null;
  }[];
  logit_change: number | null;
  linear_change: number | null;
  probability_before: number | null;
  probability_after: number | null;
  kl: number | null;
  before: Prediction[];
  after: Prediction[];
};
export type Node = {
  kind: "token" | "bias" | "neuron" | "logit" | "feature" | "error";
  layer: number;
  position: number;
  channel?: number;
  index?: number;
  label?: string;
  value?: number | null;
  token?: MaybeToken;
  probability?: number | null;
  input?: number | null;
  edges_sum?: number | null;
  edges_abs?: number | null;
  influence: number | null;
  cumulative: number | null;
};
export type Graph = {
  warning?: string;
  tokens: Tokens;
  position: number;
  all_nodes: number;
  explored: number;
  node_share: number | null;
  edge_share: number | null;
  input_share: number | null;
  worst_residue: number | null;
  features?: boolean;
  error_share?: number | null;
  nodes: Node[];
  edges: ([number, number, number])[];
  heads?: (([number, number, number])[])[];
};
export interface Requests {
  predict: {
    text?: string;
    ids?: number[];
    bos?: boolean;
    top?: number;
    beside?: boolean;
  };
  margins: {
    text?: string;
    ids?: number[];
    bos?: boolean;
  };
  lens: {
    text?: string;
    ids?: number[];
    bos?: boolean;
    position?: number;
    target?: string;
    top?: number;
  };
  directions: {
    matrix?: "qk" | "ov" | "mlp_in" | "mlp_out" | "embedding" | "embedding_centred";
    layer?: number;
    head?: number;
    channel?: number;
    distance?: number;
    directions?: number;
    top?: number;
    cosine?: boolean;
  };
  recall: {
    text?: string;
    ids?: number[];
    bos?: boolean;
    position?: number;
    first?: number;
    end?: number;
    window?: number;
    draws?: number;
  };
  attention: {
    text?: string;
    ids?: number[];
    bos?: boolean;
    layer?: number;
  };
  continue: {
    text?: string;
    ids?: number[];
    bos?: boolean;
    position?: number;
    top?: number;
  };
  generate: {
    text?: string;
    ids?: number[];
    bos?: boolean;
    max_tokens?: number;
    temperature?: number;
    top_k?: number;
    top_p?: number;
    min_p?: number;
    seed?: number;
    steer?: {
      layer?: number;
      toward: string;
      away?: string;
      strength?: number;
    };
    edits?: {
      layer?: number;
      channel?: number;
      neuron?: number;
      pos?: number;
      scale?: number;
    }[];
  };
  attribute: {
    text?: string;
    ids?: number[];
    bos?: boolean;
    position?: number;
    target?: string;
    against?: string;
    part?: number;
    top?: number;
    verify?: number;
    true?: boolean;
    most?: number;
  };
  minimal: {
    text?: string;
    ids?: number[];
    bos?: boolean;
    position?: number;
    target?: string;
    against?: string;
    heads?: boolean;
  };
  ablate: {
    text?: string;
    ids?: number[];
    bos?: boolean;
    position?: number;
    target?: string;
    top?: number;
    steer?: {
      layer?: number;
      toward: string;
      away?: string;
      strength?: number;
    };
    edits?: {
      layer?: number;
      channel?: number;
      neuron?: number;
      pos?: number;
      scale?: number;
    }[];
  };
  joint: {
    text?: string;
    ids?: number[];
    bos?: boolean;
    position?: number;
    target?: string;
    edits?: {
      layer?: number;
      channel?: number;
      neuron?: number;
      pos?: number;
      scale?: number;
    }[];
  };
  neuron: {
    layer?: number;
    channel?: number;
    index?: number;
    top?: number;
    excerpts?: number;
    special?: boolean;
  };
  labels: {
    neurons: {
      layer: number;
      channel: number;
      index: number;
    }[];
  };
  name: {
    layer?: number;
    channel?: number;
    index?: number;
    name: string;
    author?: string;
  };
  neurons: {
    fires_on?: string;
    raises?: string;
    lowers?: string;
    near?: string;
    find?: string;
    named?: boolean;
    layer?: number;
    channel?: number;
    sort?: "place" | "score" | "label" | "frequency" | "strength" | "norm" | "random";
    reversed?: boolean;
    seed?: number;
    from?: number;
    count?: number;
  };
  activation: {
    text?: string;
    ids?: number[];
    bos?: boolean;
    layer?: number;
    channel?: number;
    index?: number;
  };
  fires: {
    layer?: number;
    documents?: number;
    neurons?: {
      channel?: number;
      neuron?: number;
    }[];
  };
  graph: {
    text?: string;
    ids?: number[];
    bos?: boolean;
    position?: number;
    targets?: string[];
    node_threshold?: number;
    edge_threshold?: number;
    max_nodes?: number;
    heads?: boolean;
    features?: boolean;
    beside?: boolean;
  };
  feature: {
    layer?: number;
    index?: number;
    top?: number;
    width?: number;
    recorded?: boolean;
    beside?: boolean;
  };
  scale: {
    text?: string;
    ids?: number[];
    bos?: boolean;
    position?: number;
    target?: string;
    top?: number;
    edits?: {
      layer?: number;
      feature?: number;
      position?: number;
      scale?: number;
    }[];
    beside?: boolean;
  };
  neighbors: {
    layer?: number;
    channel?: number;
    position?: number;
    find?: string;
    nth?: number;
    text?: string;
    ids?: number[];
    bos?: boolean;
    pos?: number;
    count?: number;
  };
  map: {
    layer?: number;
    channel?: number;
    by?: "input" | "target";
    top?: number;
    documents?: number;
    neighbors?: number;
    min_dist?: number;
    epochs?: number;
    seed?: number;
  };
  locate: {
    text?: string;
    ids?: number[];
    bos?: boolean;
    layer?: number;
    channel?: number;
    by?: "input" | "target";
    top?: number;
    documents?: number;
  };
  superposition: {
    layer?: number;
    min_together?: number;
    min_lift?: number;
    pairs?: number;
    places?: number;
    shuffled?: boolean;
    seed?: number;
  };
  place: {
    position?: number;
  };
  facts: {
    type?: string;
  };
  patch: {
    type?: string;
    clean?: string;
    counterfactual?: string;
    layers?: number[][];
    answers?: number;
    at?: "noun" | "last";
    what?: "gates" | "neurons" | "embedding";
    from?: "counterfactual" | "another";
    words?: boolean;
  };
  together: {
    layer?: number;
    neurons?: {
      channel?: number;
      neuron?: number;
    }[];
    count?: number;
  };
  documents: {
    from?: number;
    count?: number;
    find?: string;
    back?: boolean;
  };
  document: {
    number?: number;
    find?: string;
  };
  file: {
  };
  study: {
    since?: number;
  };
  factors: {
  };
  metrics: {
    from?: number;
  };
}
export interface Answers {
  predict: Predict;
  margins: Margins;
  lens: Lens;
  directions: Directions;
  recall: Recall;
  attention: Attention;
  continue: Continue;
  generate: Generate;
  attribute: Attribute;
  minimal: Minimal;
  ablate: Ablate;
  joint: Joint;
  neuron: Neuron;
  labels: Labels;
  name: Labels;
  neurons: Neurons;
  activation: Activation;
  fires: FiresAt;
  graph: Graph;
  feature: Feature;
  scale: Scale;
  neighbors: Neighbors;
  map: Map;
  locate: Located;
  superposition: Superposition;
  place: Place;
  facts: Facts;
  patch: Patch;
  together: Together;
  documents: Documents;
  document: Document;
  file: GraphFile;
  study: Study;
  factors: StudyFactors;
  metrics: Metrics;
}
