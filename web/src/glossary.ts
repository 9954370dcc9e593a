// glossary.ts: the page's words, a sentence each: under the word where it stands, and all of them
// in the help.
import { term } from "./parts";

export const glossary = {
  "gates held":
    "every neuron that the prompt's run chose stays chosen, with its gate, attention and norm " +
    "scales as they were: what is said then is exact, and no new run",
  gate: "how strongly the router lets a chosen neuron speak: it scales the neuron's value",
  chosen: "the router opens a few neurons of each channel for a token; the others add nothing",
  channel: "a layer's neurons come in groups; in each the router chooses its own few",
  residue: "what the sum misses of the logit: rounding, as there are no error nodes",
  missed: "sum of |true less linear total effect| over the sum of |true effects|",
  rerouting:
    "what happens in a true run beyond the exact sum: the router chooses other neurons, " +
    "attention and norms change",
  margin: "how far the stream must move before a channel chooses other neurons",
  stream: "the vector at a position that every layer reads and adds to",
  "bare token": "a token's embedding alone, without a text around it",
  logit: "the score of a token before scores become probabilities: one more is e times the odds",
  "direct effect": "what a part adds to the stream at this position, read by the logit",
  "total effect": "the same by all ways through later layers, from any position",
  influence: "the share of the outputs that flows through a node along the graph's edges",
  circuit: "the neurons that a layer chose at a token, with their gates",
  loss: "how surprising a token was: minus the logarithm of its probability, in nats",
  divergence: "how far two predictions are apart (Kullback and Leibler), in nats",
  lift: "how many times as often neurons fire together as by chance",
  "matched null":
    "the pair's first neuron, at the same places, beside one that is there by chance and is as " +
    "strong as its second",
  excess:
    "logarithm of a pair's interaction over that of its matched null, each over what the two " +
    "neurons do alone: 0 is as much, 0.7 twice as much",
  "signed interaction":
    "how the loss changes without both neurons, less how it does without each alone: above 0 " +
    "either suffices, below 0 both are needed",
} as const;
export type Word = keyof typeof glossary;

/** The word, or another form of it, with its sentence. */
export const word = (key: Word, text: string = key) => term(text, glossary[key]);
