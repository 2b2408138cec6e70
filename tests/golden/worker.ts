import { serve } from "../../src/cloudflare.ts";
import { BROKEN, golden, HELD, placeOf, type World } from "./flow.ts";

// The Worker that is killed half way through a run of the golden flow.

const LAST_OF_FOUR = placeOf("Save", 4, 0);
const called = new Set<string>();

const world: World = {
  call: async (place) => {
    called.add(place);
    // The batch that is held would hold those of other branches up.
    while (place === placeOf("Load", 3, 0) && !called.has(LAST_OF_FOUR)) await scheduler.wait(5);
    if (HELD.includes(place)) await scheduler.wait(3_600_000);
  },
  isBroken: (place) => BROKEN.includes(place),
  wait: 5,
};

const app = serve({ flows: { golden: () => golden(world) } });

export default app;
export const { FlowRun, Executor, RateLimiter, RunIndex } = app;
