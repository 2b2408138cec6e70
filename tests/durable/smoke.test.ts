import { exports, env } from "cloudflare:workers";
import { abortAllDurableObjects, runInDurableObject, listDurableObjectIds } from "cloudflare:test";
import { expect, it } from "vitest";
import { seen } from "./worker.ts";
it("works", async () => {
  const r = await exports.default.fetch("http://x/flows/double/runs?wait=10", { method: "POST", headers: {"content-type":"application/json"}, body: JSON.stringify({ n: [...Array(20).keys()] }) });
  const v: any = await r.json();
  console.log(r.status, v, seen.length);
  const stub = (exports as any).FlowRun.getByName(v.id);
  console.log(await runInDurableObject(stub, async (o, s) => [await s.storage.getAlarm(), s.storage.sql.exec("select name from sqlite_master").toArray()]));
});
it("queue", async () => {
  const r = await exports.default.fetch("http://x/flows/q/runs?wait=10", { method: "POST", headers: {"content-type":"application/json"}, body: JSON.stringify({ n: [...Array(20).keys()] }) });
  const v: any = await r.json();
  console.log(r.status, v, seen.length);
});
it("abort one", async () => {
  const at = seen.length;
  let r = await exports.default.fetch("http://x/flows/double/runs", { method: "POST", headers: {"content-type":"application/json"}, body: JSON.stringify({ n: [...Array(50).keys()] }) });
  const v: any = await r.json();
  while (seen.length < at + 20) await new Promise((r) => setTimeout(r, 5));
  const stub = (exports as any).FlowRun.getByName(v.id);
  try { await runInDurableObject(stub, (_, s) => s.abort("boom")); } catch (e: any) { console.log("abort", String(e), e.remote, e.durableObjectReset); }
  r = await exports.default.fetch(`http://x/runs/${v.id}`);
  console.log(await r.text());
  const t = Date.now();
  for (;;) { r = await exports.default.fetch(`http://x/runs/${v.id}`); const w: any = await r.json(); if (w.finishedAt) { console.log(Date.now() - t, w, seen.length - at); break; } await new Promise((r) => setTimeout(r, 5)); }
});
it("abort all", async () => {
  const at = seen.length;
  let r = await exports.default.fetch("http://x/flows/double/runs", { method: "POST", headers: {"content-type":"application/json"}, body: JSON.stringify({ n: [...Array(50).keys()] }) });
  const v: any = await r.json();
  while (seen.length < at + 20) await new Promise((r) => setTimeout(r, 5));
  const t = Date.now();
  await abortAllDurableObjects();
  for (;;) { r = await exports.default.fetch(`http://x/runs/${v.id}`); const w: any = await r.json(); if (w.finishedAt) { console.log(Date.now() - t, w, seen.length - at); break; } await new Promise((r) => setTimeout(r, 5)); }
}, 30000);
