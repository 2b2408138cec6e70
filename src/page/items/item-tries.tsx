import type { ItemDetail } from "../../http/api.ts";
import { duration } from "../parts/format.ts";
import { Time } from "../parts/time.tsx";
import { Text } from "../parts/value.tsx";

type Try = ItemDetail["tries"][number];

/** Each try that brought no result, the latest first. */
export function ItemTries({ item: { tries } }: { item: ItemDetail }) {
  if (tries.length === 0) return null;
  return (
    <>
      <h3>Tries that failed</h3>
      <ol class="tries" reversed>
        {tries.toReversed().map((each) => (
          <li key={`${each.startedAt} ${each.finishedAt}`}>
            <OneTry each={each} />
          </li>
        ))}
      </ol>
    </>
  );
}

function OneTry({ each: { outcome, startedAt, finishedAt, error } }: { each: Try }) {
  const took = startedAt === null ? null : duration(Date.parse(finishedAt) - Date.parse(startedAt));
  return (
    <>
      <p>
        {outcome === "lost" ? "Its executor was lost" : "Failed"} <Time at={finishedAt} />
        {took && `, after ${took}`}
      </p>
      {error && <Text text={error.stack ?? `${error.name}: ${error.message}`} label="Error of this try" />}
    </>
  );
}
