import type { ComponentChildren } from "preact";
import { useId } from "preact/hooks";
import { ApiError } from "../api.ts";
import type { Fault } from "./faults.ts";

/** What the API has refused of a form. */
export function faultsOf(error: unknown): readonly Fault[] {
  const faults = error instanceof ApiError ? error.errors : [];
  return faults.length > 0 ? faults : [{ pointer: "", detail: (error as Error).message }];
}

/** All that is wrong in a form, said at once. */
export function FaultList({ faults }: { faults: readonly Fault[] }) {
  return faults.map(({ pointer, detail }) => (
    <p key={pointer} class="warning" role="alert">
      {pointer && <code>{pointer} </code>}
      <bdi>{detail}</bdi>
    </p>
  ));
}

interface Props {
  label: ComponentChildren;
  about?: string;
  fault?: string | undefined;
  /** Draws what is filled in, with these attributes. */
  control(attributes: object): ComponentChildren;
}

/** What is filled in, with its name, what is to be known of it, and what is wrong in it. */
export function Field({ label, about, fault, control }: Props) {
  const id = useId();
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <p id={`${id}-about`} class="soft">
        <bdi>{about}</bdi>
      </p>
      {control({ id, "aria-invalid": fault !== undefined, "aria-describedby": `${id}-about ${id}-fault` })}
      <p id={`${id}-fault`} class="fault">
        <bdi>{fault}</bdi>
      </p>
    </div>
  );
}
