import { describe, expect, it } from "vitest";
import {
  AsyncBatchFlow,
  AsyncFlow,
  AsyncNode,
  AsyncParallelBatchFlow,
  AsyncParallelBatchNode,
  type BranchEnd,
  Flow,
  Node,
  ParallelBatchFlow,
  ParallelBatchNode,
} from "../../src/index.ts";
import { gate } from "./support.ts";

// The programs that PocketFlow's page on parallelism describes, each in both spellings.

interface Texts {
  texts: string[];
  summary?: string;
}

interface Files {
  files: string[];
  summaries: Record<string, string>;
}

/** A model that answers nobody before all `count` callers have called: whoever calls one after the other waits forever. */
function modelFor(count: number): (prompt: string) => Promise<string> {
  const all = gate();
  let calls = 0;
  return async (prompt) => {
    if (++calls === count) all.open();
    await all.promise;
    return prompt.toUpperCase();
  };
}

describe("summaries of several texts", () => {
  it("are made in parallel by an AsyncParallelBatchNode in an AsyncFlow", async () => {
    const callModel = modelFor(3);
    class ParallelSummaries extends AsyncParallelBatchNode<Texts> {
      override async prepAsync(shared: Texts) {
        return shared.texts;
      }
      override async execAsync(text: string) {
        return await callModel(`Summarize: ${text}`);
      }
      override async postAsync(shared: Texts, _prepRes: string[], execResList: string[]) {
        shared.summary = execResList.join("\n\n");
        return "default";
      }
    }
    const shared: Texts = { texts: ["one", "two", "three"] };
    expect(await new AsyncFlow(new ParallelSummaries()).runAsync(shared)).toBe("default");
    expect(shared.summary).toBe("SUMMARIZE: ONE\n\nSUMMARIZE: TWO\n\nSUMMARIZE: THREE");
  });

  it("are made in parallel by a ParallelBatchNode in a Flow", async () => {
    const callModel = modelFor(3);
    class Summaries extends ParallelBatchNode<Texts, { style: string }, string, string> {
      override prep(shared: Texts) {
        return shared.texts;
      }
      override exec(text: string) {
        return callModel(`${this._params.style}: ${text}`);
      }
      override post(shared: Texts, _texts: string[], summaries: string[]) {
        shared.summary = summaries.join(" ");
      }
    }
    const shared: Texts = { texts: ["one", "two", "three"] };
    await new Flow<Texts>(new Summaries()).setParams({ style: "short" }).run(shared);
    expect(shared.summary).toBe("SHORT: ONE SHORT: TWO SHORT: THREE");
  });
});

describe("a flow for each of several files", () => {
  it("runs in parallel as an AsyncParallelBatchFlow, one file after the other as an AsyncBatchFlow", async () => {
    let callModel = modelFor(2);
    class LoadAndSummarizeFile extends AsyncNode<Files, { filename: string }> {
      override async prepAsync() {
        return `contents of ${this._params.filename}`;
      }
      override async execAsync(text: string) {
        return await callModel(text);
      }
      override async postAsync(shared: Files, _text: string, summary: string) {
        shared.summaries[this._params.filename] = summary;
      }
    }
    class SummarizeMultipleFiles extends AsyncParallelBatchFlow<Files> {
      override async prepAsync(shared: Files) {
        return shared.files.map((filename) => ({ filename }));
      }
    }
    class SummarizeOneByOne extends AsyncBatchFlow<Files> {
      override async prepAsync(shared: Files) {
        return shared.files.map((filename) => ({ filename }));
      }
    }
    const summaries = { "a.txt": "CONTENTS OF A.TXT", "b.txt": "CONTENTS OF B.TXT" };

    const shared: Files = { files: ["a.txt", "b.txt"], summaries: {} };
    await new SummarizeMultipleFiles(new AsyncFlow(new LoadAndSummarizeFile())).runAsync(shared);
    expect(shared.summaries).toEqual(summaries);

    callModel = modelFor(1);
    shared.summaries = {};
    await new SummarizeOneByOne(new AsyncFlow(new LoadAndSummarizeFile())).runAsync(shared);
    expect(shared.summaries).toEqual(summaries);
  });

  it("runs in parallel as a ParallelBatchFlow whose post gathers what the branches returned", async () => {
    const callModel = modelFor(2);
    class Summarize extends Node<Files, { filename: string }, string, string> {
      override prep() {
        return `contents of ${this._params.filename}`;
      }
      override exec(text: string) {
        return callModel(text);
      }
    }
    class SummarizeFiles extends ParallelBatchFlow<Files> {
      override prep(shared: Files) {
        return shared.files.map((filename) => ({ filename }));
      }
      override post(shared: Files, _list: { filename: string }[], _none: unknown, branches: BranchEnd[]) {
        shared.summaries = Object.fromEntries(branches.map(({ result }, index) => [shared.files[index], result]));
        return "done";
      }
    }
    const shared: Files = { files: ["a.txt", "b.txt"], summaries: {} };
    expect(await new SummarizeFiles(new Summarize()).run(shared)).toBe("done");
    expect(shared.summaries).toEqual({ "a.txt": "CONTENTS OF A.TXT", "b.txt": "CONTENTS OF B.TXT" });
  });
});
