/** Which sentences a summary takes, and how many. */
export interface SummarizeOptions {
  /** How many sentences at most. */
  sentences?: number;
}

/** A sentence as a unit vector over the words of its text: pairs of a word's number and its weight. */
type Row = ReadonlyArray<readonly [word: number, weight: number]>;

/** What is read of a text: beyond it, cost would be the sender's to choose. A long speech has 60,000 characters. */
const MAX_CHARACTERS = 100_000;
/** As many sentences are ranked; a text of shouts ("No! No! …") has one per word, and each has a fixed cost. */
const MAX_SENTENCES = 2_000;
/** What counts as one sentence at most: text without punctuation is taken in pieces of this size. */
const MAX_SENTENCE = 1_000;
/** Shorter sentences ("Thank you.") repeat, resemble each other, and say little; MEAD's cutoff, which LexRank takes over. */
const MIN_WORDS = 9;
/** The chance that a reader follows similarity to the next sentence instead of jumping anywhere. */
const DAMPING = 0.85;
/** A sentence as similar as this to one already chosen says the same again. */
const REDUNDANT = 0.5;
const MAX_ROUNDS = 50;
const CONVERGED = 1e-6;

// An explicit locale: the host's own would make the same text give other summaries elsewhere.
const bySentence = new Intl.Segmenter("en", { granularity: "sentence" });
const byWord = new Intl.Segmenter("en", { granularity: "word" });
const endsInAbbreviation =
  /(?:^|[\s(])(?:Mrs?|Ms|Dr|St|Jr|Sr|Gen|Sen|Rep|Gov|Lt|Col|Nos?|\p{Lu}|(?:\p{Lu}\.)+\p{Lu})\.\s*$/u;
const pieceOfSentence = new RegExp(`.{1,${MAX_SENTENCE}}(?:\\s|$)|.{1,${MAX_SENTENCE}}`, "gsu");

/**
 * Summarizes a text by its own most central sentences, in their own order.
 *
 * The algorithm is continuous LexRank: sentences are tf–idf vectors, their cosine similarities the weights of a graph, and
 * the stationary distribution of a random walk over it their salience; then the most salient are taken, passing over any
 * that repeats one already taken. G. Erkan and D. R. Radev, "LexRank: Graph-based Lexical Centrality as Salience in Text
 * Summarization", Journal of Artificial Intelligence Research 22 (2004), 457–479, sections 3.2 and 3.3. The similarity matrix
 * is never built: it is X·Xᵀ of the sentence vectors X, so a step of the walk costs the words of the text, not the square
 * of its sentences.
 *
 * Deterministic; any language `Intl.Segmenter` knows; reads the first 100,000 characters.
 *
 * @example
 * summarize("Rain fell on the hills all day. …", { sentences: 1 }); // one of its sentences
 */
export function summarize(text: string, options: SummarizeOptions = {}): string {
  const { sentences: wanted = 3 } = options;
  if (!Number.isInteger(wanted) || wanted < 1) {
    throw new TypeError(`Expected \`sentences\` to be a positive integer, got \`${wanted}\``);
  }
  const sentences = sentencesOf(text.slice(0, MAX_CHARACTERS));
  const chosen = sentences.length <= wanted ? sentences : mostCentral(sentences, wanted);
  return chosen.join("").trim();
}

/** A text's sentences, each with the space that follows it (none in Chinese), so that joining needs no rule of its own. */
function sentencesOf(text: string): string[] {
  const sentences: string[] = [];
  let open = "";
  for (const { segment } of bySentence.segment(text)) {
    open += segment;
    // Unicode ends a sentence at "Mr. Speaker"; only the segment is looked at, or a chain of these would cost its square.
    if (endsInAbbreviation.test(segment)) continue;
    sentences.push(...pieces(open));
    open = "";
    if (sentences.length >= MAX_SENTENCES) return sentences;
  }
  return [...sentences, ...pieces(open)];
}

function pieces(sentence: string): string[] {
  const flat = sentence.trimStart().replace(/\s+/g, " ");
  return flat.length <= MAX_SENTENCE ? [flat].filter(Boolean) : (flat.match(pieceOfSentence) ?? []);
}

function mostCentral(sentences: readonly string[], wanted: number): string[] {
  const bags = sentences.map(wordsOf);
  const long = bags.flatMap((bag, index) => (bag.length < MIN_WORDS ? [] : [index]));
  const candidates = long.length < wanted ? [...bags.keys()] : long;
  const { rows, words } = vectorize(candidates.map((index) => bags[index] ?? []));
  const chosen = choose(rows, centrality(rows, words), wanted);
  return chosen.map((row) => sentences[candidates[row] ?? 0] ?? "");
}

function wordsOf(sentence: string): string[] {
  const words: string[] = [];
  for (const { segment, isWordLike } of byWord.segment(sentence)) {
    if (isWordLike) words.push(segment.toLowerCase());
  }
  return words;
}

/** Numbers the words and weighs them: often here, rarely elsewhere. Words that every sentence has weigh next to nothing. */
function vectorize(bags: readonly string[][]): { rows: Row[]; words: number } {
  const numbers = new Map<string, number>();
  const spread: number[] = [];
  const counts = bags.map((bag) => {
    const count = new Map<number, number>();
    for (const word of bag) {
      const number = numbers.get(word) ?? numbers.size;
      numbers.set(word, number);
      if (!count.has(number)) spread[number] = (spread[number] ?? 0) + 1;
      count.set(number, (count.get(number) ?? 0) + 1);
    }
    return count;
  });
  const rarity = spread.map((sentences) => Math.log((bags.length + 1) / sentences));
  return { rows: counts.map((count) => unit(count, rarity)), words: numbers.size };
}

function unit(count: ReadonlyMap<number, number>, rarity: readonly number[]): Row {
  const row = Array.from(count, ([word, times]) => [word, times * (rarity[word] ?? 0)] as const);
  const length = Math.hypot(...row.map(([, weight]) => weight));
  return length === 0 ? [] : row.map(([word, weight]) => [word, weight / length] as const);
}

/** The random walk's stationary distribution, by power iteration. */
function centrality(rows: readonly Row[], words: number): Float64Array {
  const degree = similarity(rows, words, new Float64Array(rows.length).fill(1));
  const jump = (1 - DAMPING) / rows.length;
  let scores = new Float64Array(rows.length).fill(1 / rows.length);
  for (let round = 0, change = 1; round < MAX_ROUNDS && change > CONVERGED; round++) {
    const outflow = scores.map((score, index) => score / (degree[index] || 1));
    const next = similarity(rows, words, outflow).map((inflow) => jump + DAMPING * inflow);
    change = next.reduce((sum, score, index) => sum + Math.abs(score - (scores[index] ?? 0)), 0);
    scores = next;
  }
  return scores;
}

/** X·(Xᵀ·weights): first what each word gathers from the sentences that have it, then what each sentence gathers from its words. */
function similarity(rows: readonly Row[], words: number, weights: Float64Array): Float64Array<ArrayBuffer> {
  const gathered = new Float64Array(words);
  rows.forEach((row, index) => {
    for (const [word, weight] of row) gathered[word] = (gathered[word] ?? 0) + weight * (weights[index] ?? 0);
  });
  return Float64Array.from(rows, (row) => row.reduce((sum, [word, weight]) => sum + weight * (gathered[word] ?? 0), 0));
}

/** The best rows by score (the earlier of equals), none that repeats a better one, in the order of the text. */
function choose(rows: readonly Row[], scores: Float64Array, wanted: number): number[] {
  const ranked = [...rows.keys()].sort((a, b) => (scores[b] ?? 0) - (scores[a] ?? 0) || a - b);
  const chosen: number[] = [];
  const vectors: Map<number, number>[] = [];
  for (const index of ranked) {
    if (chosen.length === wanted) break;
    const row = rows[index] ?? [];
    if (vectors.some((vector) => cosine(row, vector) >= REDUNDANT)) continue;
    chosen.push(index);
    vectors.push(new Map(row));
  }
  return chosen.sort((a, b) => a - b);
}

function cosine(row: Row, other: ReadonlyMap<number, number>): number {
  return row.reduce((sum, [word, weight]) => sum + weight * (other.get(word) ?? 0), 0);
}
