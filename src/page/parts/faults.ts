/** What is wrong in a form, and where: by JSON pointer, `""` for all of it. */
export interface Fault {
  pointer: string;
  detail: string;
}

/** What is wrong in what a pointer is to, or in a part of it. */
export function faultAt(faults: readonly Fault[], pointer: string): string | undefined {
  return faults.find((fault) => `${fault.pointer}/`.startsWith(`${pointer}/`))?.detail;
}
