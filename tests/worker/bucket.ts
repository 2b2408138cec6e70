import { convertV4MiniflareOptions, Miniflare } from "miniflare";
import { afterAll, beforeAll, beforeEach } from "vitest";

/** Puts many objects within the runtime: from here each would be a request of its own. */
const SCRIPT = `export default {
  async fetch(request, { FILES }) {
    const objects = await request.json();
    await Promise.all(objects.map(({ key, customMetadata }) => FILES.put(key, "", { customMetadata })));
    return new Response();
  }
}`;

export interface Seed {
  key: string;
  customMetadata?: Record<string, string>;
}

/**
 * A real bucket, of the local runtime, for the tests of the file that calls this. Each test finds it empty.
 *
 * @example
 * const files = useBucket();
 * test("…", () => files.bucket.put("a.txt", "One."));
 */
export function useBucket() {
  let runtime: Miniflare;
  const files = {
    bucket: undefined as unknown as R2Bucket,
    async seed(objects: Seed[]): Promise<void> {
      await (await runtime.dispatchFetch("http://bucket", { method: "POST", body: JSON.stringify(objects) })).text();
    },
  };
  beforeAll(async () => {
    const offline = { cf: false, telemetry: { enabled: false } };
    runtime = new Miniflare(
      convertV4MiniflareOptions({ modules: true, script: SCRIPT, r2Buckets: ["FILES"], ...offline }),
    );
    files.bucket = (await runtime.getR2Bucket("FILES")) as unknown as R2Bucket;
  });
  beforeEach(async () => {
    let page: R2Objects;
    do {
      page = await files.bucket.list();
      await files.bucket.delete(page.objects.map(({ key }) => key));
    } while (page.truncated);
  });
  afterAll(() => runtime.dispose());
  return files;
}
