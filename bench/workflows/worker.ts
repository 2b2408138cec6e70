import { WorkflowEntrypoint, type WorkflowEvent, type WorkflowStep } from "cloudflare:workers";

interface Job {
  items: number;
  width: number;
}

interface Environment {
  ITEMS: Workflow<Job>;
}

/** The same instant items on Cloudflare Workflows: a step per item, `width` of them at once, as its documentation advises. */
export class Items extends WorkflowEntrypoint<Environment, Job> {
  override async run(event: Readonly<WorkflowEvent<Job>>, step: WorkflowStep): Promise<number> {
    const { items, width } = event.payload;
    let results = 0;
    for (let from = 0; from < items; from += width) {
      const wave = Array.from({ length: Math.min(width, items - from) }, (_, index) => from + index);
      results += (await Promise.all(wave.map((item) => step.do(`item ${item}`, async () => item)))).length;
    }
    return results;
  }
}

/** `POST /` starts a run and answers its id; `GET /<id>` answers its status. */
export default {
  async fetch(request: Request, env: Environment): Promise<Response> {
    if (request.method === "POST") {
      const instance = await env.ITEMS.create({ params: await request.json<Job>() });
      return Response.json({ id: instance.id });
    }
    const instance = await env.ITEMS.get(new URL(request.url).pathname.slice(1));
    return Response.json(await instance.status());
  },
};
