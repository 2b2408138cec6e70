import fc from "fast-check";

/**
 * Every value that a run can keep: trees of what JSON knows and of Date, Map, Set, BigInt, typed arrays, `undefined`, `-0`, NaN,
 * sparse lists, objects without a prototype, and strings with NUL and lone surrogates.
 */
export const values: fc.Arbitrary<unknown> = fc.anything({
  maxDepth: 4,
  withBigInt: true,
  withDate: true,
  withMap: true,
  withSet: true,
  withTypedArray: true,
  withSparseArray: true,
  withNullPrototype: true,
  values: [
    fc.string({ unit: "binary" }),
    fc.string({ unit: fc.integer({ min: 0, max: 0xffff }).map((code) => String.fromCharCode(code)) }),
    fc.constantFrom(
      undefined,
      null,
      true,
      false,
      -0,
      Number.NaN,
      Infinity,
      "",
      "__proto__",
      "\0",
      "\ud800",
      "</script>",
    ),
    fc.double(),
    fc.bigInt(),
    fc.date({ noInvalidDate: false }),
  ],
});
