import { test } from "@fast-check/vitest";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { refusalOf } from "../../src/core/address.ts";

const RUNS = { numRuns: 500 };

/** Written from the registries once more, as first and last address. */
const BLOCKS: readonly [first: string, last: string, block: string][] = [
  ["0.0.0.0", "0.255.255.255", "0.0.0.0/8"],
  ["10.0.0.0", "10.255.255.255", "10.0.0.0/8"],
  ["100.64.0.0", "100.127.255.255", "100.64.0.0/10"],
  ["127.0.0.0", "127.255.255.255", "127.0.0.0/8"],
  ["169.254.0.0", "169.254.255.255", "169.254.0.0/16"],
  ["172.16.0.0", "172.31.255.255", "172.16.0.0/12"],
  ["192.0.0.0", "192.0.0.255", "192.0.0.0/24"],
  ["192.0.2.0", "192.0.2.255", "192.0.2.0/24"],
  ["192.88.99.0", "192.88.99.255", "192.88.99.0/24"],
  ["192.168.0.0", "192.168.255.255", "192.168.0.0/16"],
  ["198.18.0.0", "198.19.255.255", "198.18.0.0/15"],
  ["198.51.100.0", "198.51.100.255", "198.51.100.0/24"],
  ["203.0.113.0", "203.0.113.255", "203.0.113.0/24"],
  ["224.0.0.0", "239.255.255.255", "224.0.0.0/4"],
  ["240.0.0.0", "255.255.255.254", "240.0.0.0/4"],
  ["255.255.255.255", "255.255.255.255", "255.255.255.255/32"],
];
const RANGES = BLOCKS.map(([first, last]) => [numberOf(first), numberOf(last)] as const);

function numberOf(address: string): number {
  return address.split(".").reduce((number, byte) => number * 256 + Number(byte), 0);
}

function addressOf(number: number): string {
  return [24, 16, 8, 0].map((shift) => (number >>> shift) & 255).join(".");
}

function isSpecial(number: number): boolean {
  return RANGES.some(([first, last]) => number >= first && number <= last);
}

const octets = (number: number) => addressOf(number).split(".").map(Number);
const wide = (text: string) => text.replace(/[0-9]/g, (digit) => String.fromCharCode(0xff10 + Number(digit)));
const encoded = (text: string) => text.replace(/[0-9.]/g, (character) => `%${character.charCodeAt(0).toString(16)}`);

/** Ways to write one IPv4 address that the URL parser knows. */
const SPELLINGS: readonly ((number: number) => string)[] = [
  addressOf,
  (number) => `${addressOf(number)}.`,
  (number) => String(number),
  (number) => `0x${number.toString(16)}`,
  (number) => `0X${number.toString(16).toUpperCase()}`,
  (number) => `0${number.toString(8)}`,
  (number) => `0000${number.toString(8)}`,
  (number) => `${number >>> 24}.${number & 0xffffff}`,
  (number) => `0x${(number >>> 24).toString(16)}.${(number >>> 16) & 255}.0${(number & 0xffff).toString(8)}`,
  (number) =>
    octets(number)
      .map((octet) => `0x${octet.toString(16)}`)
      .join("."),
  (number) =>
    octets(number)
      .map((octet) => `0${octet.toString(8)}`)
      .join("."),
  (number) => wide(addressOf(number)),
  (number) => wide(String(number)),
  (number) => encoded(addressOf(number)),
  (number) => addressOf(number).replaceAll(".", "。"),
];

const spelling = fc.constantFrom(...SPELLINGS);
const special = fc
  .constantFrom(...RANGES)
  .chain(([first, last]) => fc.oneof(fc.constantFrom(first, last), fc.integer({ min: first, max: last })));
const anyNumber = fc.integer({ min: 0, max: 0xffffffff });
const general = anyNumber.filter((number) => !isSpecial(number));

describe("an IPv4 address", () => {
  test.prop([special, spelling], RUNS)("of a special block is refused, however it is written", (number, write) => {
    const refusal = refusalOf(`https://${write(number)}/in`, false);
    expect(refusal).toMatch(/^Expected a URL with a public host, got `[\d.]+`, which is in /);
    expect(refusal).toContain(`\`${addressOf(number)}\``);
  });

  test.prop([general, spelling], RUNS)("of no special block is allowed, however it is written", (number, write) => {
    expect(refusalOf(`https://${write(number)}/in`, false)).toBeUndefined();
  });

  it.each(BLOCKS)("from %s to %s is refused with its block", (first, last, block) => {
    for (const address of [first, last]) {
      expect(refusalOf(`https://${address}/`, false)).toContain(`got \`${address}\`, which is in ${block} (`);
    }
  });

  it.each(BLOCKS)("next to those from %s to %s is judged by its own block", (first, last) => {
    const neighbours = [numberOf(first) - 1, numberOf(last) + 1].filter(
      (number) => number >= 0 && number <= 0xffffffff,
    );
    for (const number of neighbours) {
      expect(refusalOf(`https://${addressOf(number)}/`, false) !== undefined).toBe(isSpecial(number));
    }
  });

  // Which neighbours are public, so that the test above does not agree with itself only.
  it.each([
    ["1.0.0.0", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0"],
    ["169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "191.255.255.255", "192.0.1.0", "192.0.3.0"],
    ["192.0.1.255", "192.88.98.255", "192.88.100.0", "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0"],
    ["198.51.99.255", "198.51.101.0", "203.0.112.255", "203.0.114.0", "223.255.255.255", "8.8.8.8", "1.1.1.1"],
  ])("such as %s, %s, %s, %s, %s, %s and %s is allowed", (...addresses) => {
    expect(addresses.map((address) => refusalOf(`https://${address}/`, false))).toEqual(addresses.map(() => undefined));
  });

  it.each([
    ["0x7f.1", "127.0.0.1"],
    ["127.1", "127.0.0.1"],
    ["2130706433", "127.0.0.1"],
    ["017700000001", "127.0.0.1"],
    ["0", "0.0.0.0"],
    ["１２７.０.０.１", "127.0.0.1"],
    ["%31%32%37.0.0.1", "127.0.0.1"],
    ["①②⑦.0.0.1", "127.0.0.1"],
    ["127.0.0.1.", "127.0.0.1"],
    ["0xa9fea9fe", "169.254.169.254"],
  ])("written %s is %s", (host, address) => {
    expect(refusalOf(`https://${host}/`, false)).toContain(`got \`${address}\`, which is in `);
    expect(refusalOf(`https://${host}:8443/`, false)).toContain(`got \`${address}\`, which is in `);
  });
});

describe("an IPv6 address", () => {
  const FULL = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
  const until = (groups: string) => [...groups.split(":"), ...FULL.split(":")].slice(0, 8).join(":");

  it.each([
    ["::", "::/128"],
    ["::1", "::1/128"],
    ["0:0:0:0:0:0:0:1", "::1/128"],
    ["::2", "::/96"],
    ["::127.0.0.1", "::/96"],
    ["::8.8.8.8", "::/96"],
    ["::ffff:ffff", "::/96"],
    ["::ffff:0:0", "::ffff:0:0/96"],
    ["::ffff:127.0.0.1", "::ffff:0:0/96"],
    ["::ffff:8.8.8.8", "::ffff:0:0/96"],
    ["::FFFF:FFFF:FFFF", "::ffff:0:0/96"],
    ["64:ff9b::", "64:ff9b::/96"],
    ["64:ff9b::10.0.0.1", "64:ff9b::/96"],
    ["64:ff9b::ffff:ffff", "64:ff9b::/96"],
    ["64:ff9b:1::", "64:ff9b:1::/48"],
    [until("64:ff9b:1"), "64:ff9b:1::/48"],
    ["100::", "100::/64"],
    [until("100:0:0:0"), "100::/64"],
    ["2001::", "2001::/32"],
    [until("2001:0"), "2001::/32"],
    ["2001:1::", "2001::/23"],
    ["2001:2::1", "2001::/23"],
    [until("2001:1ff"), "2001::/23"],
    ["2001:db8::", "2001:db8::/32"],
    [until("2001:db8"), "2001:db8::/32"],
    ["2002::", "2002::/16"],
    ["2002:7f00:1::", "2002::/16"],
    [until("2002"), "2002::/16"],
    ["3fff::", "3fff::/20"],
    [until("3fff:fff"), "3fff::/20"],
    ["fc00::", "fc00::/7"],
    [until("fdff"), "fc00::/7"],
    ["fe80::", "fe80::/10"],
    [until("febf"), "fe80::/10"],
    ["fec0::", "fec0::/10"],
    [until("feff"), "fec0::/10"],
    ["ff00::", "ff00::/8"],
    [FULL, "ff00::/8"],
  ])("%s is refused with %s", (address, block) => {
    expect(refusalOf(`https://[${address}]/`, false)).toContain(`, which is in ${block} (`);
  });

  it.each([
    "::1:0:0:0",
    "64:ff9b:0:0:0:1::",
    "64:ff9b:2::",
    "100:0:0:1::",
    until("1fff"),
    "4000::",
    "5f00::1",
    until("fbff"),
    "fe00::",
    until("fe7f"),
  ])("%s is refused because it is not global unicast", (address) => {
    expect(refusalOf(`https://[${address}]/`, false)).toMatch(
      /, which is not in 2000::\/3 \(global unicast, RFC 4291\)$/,
    );
  });

  it.each([
    "2000::",
    until("2000"),
    "2001:200::",
    "2001:4860:4860::8888",
    until("2001:db7"),
    "2001:db9::",
    until("2001"),
    "2003::",
    "2606:4700:4700::1111",
    until("3ffe"),
    "3fff:1000::",
    until("3fff"),
  ])("%s is allowed", (address) => {
    expect(refusalOf(`https://[${address}]:443/in`, false)).toBeUndefined();
  });

  const groups = fc.array(fc.integer({ min: 0, max: 0xffff }), { minLength: 8, maxLength: 8 });
  const written = (numbers: number[]) => numbers.map((group) => group.toString(16)).join(":");

  test.prop([groups], RUNS)("outside of 2000::/3 is refused", ([first = 0, ...rest]) => {
    expect(
      refusalOf(`https://[${written([first < 0x2000 || first >= 0x4000 ? first : first ^ 0x8000, ...rest])}]/`, false),
    ).toBeDefined();
  });

  test.prop([groups], RUNS)("from 2400:: to 2fff:: is allowed", ([first = 0, ...rest]) => {
    expect(refusalOf(`https://[${written([0x2400 + (first % 0xc00), ...rest])}]/`, false)).toBeUndefined();
  });

  test.prop([anyNumber, fc.constantFrom("::", "::ffff:", "64:ff9b::")], RUNS)(
    "that carries an IPv4 address is refused, whichever that is",
    (number, prefix) => {
      expect(refusalOf(`https://[${prefix}${addressOf(number)}]/`, false)).toBeDefined();
    },
  );
});

describe("a name", () => {
  const LOCAL = [
    "localhost",
    "localdomain",
    "local",
    "internal",
    "home.arpa",
    "lan",
    "intranet",
    "private",
    "corp",
    "home",
    "test",
  ];

  it.each(LOCAL)("that is %s, or in it, is refused in every spelling", (name) => {
    const hosts = [
      `db.${name}`,
      `a.b.${name}`,
      `db.${name}.`,
      `db.${name}..`,
      `DB.${name.toUpperCase()}`,
      wide(`x1.${name}`),
    ];
    for (const host of [
      ...hosts,
      `x.%${name.charCodeAt(0).toString(16)}${name.slice(1)}`,
      `x。${name}`,
      name,
      `${name}.`,
    ]) {
      expect(refusalOf(`https://${host}/`, false)).toContain(
        `, which is a name within a machine or a network (\`${name}\`)`,
      );
    }
  });

  it.each(["router", "router.", "ROUTER..", "com", "xn--nxasmq6b", "a_b"])("without a dot, %s, is refused", (host) => {
    expect(refusalOf(`https://${host}/`, false)).toBe(
      `Expected a URL with a public host, got \`${host.toLowerCase()}\`, which is a name without a dot, which only means something ` +
        "within a network",
    );
  });

  it.each([
    "hooks.example.com",
    "example.com.",
    "notlocalhost.com",
    "localhost.com",
    "mylocal.dev",
    "internal.example.org",
    "xlan.xhome",
    "arpa.example",
    "x.arpa",
    "bücher.example",
    "10.example.com",
    "127.0.0.1.example.com",
  ])("%s is allowed: what it resolves to is not known", (host) => {
    expect(refusalOf(`https://${host}/in?token=x`, false)).toBeUndefined();
  });
});

describe("a URL", () => {
  it("may have a port, a path, a query and a fragment", () => {
    expect(refusalOf("https://hooks.example.com:8443/in/1?a=b#c", false)).toBeUndefined();
  });

  it("needs https", () => {
    expect(refusalOf("http://hooks.example.com/in", false)).toBe(
      "Expected a URL that begins with `https://`, got `http://`, which anyone on the way can read",
    );
  });

  it.each([
    "ftp://example.com/",
    "ws://example.com/",
    "file:///etc/passwd",
    "data:text/plain,x",
    "javascript:alert(1)",
    "blob:x",
  ])("with another scheme is refused: %s", (url) => {
    expect(refusalOf(url, false)).toBe("Expected a URL that begins with `https://`, got another scheme");
    expect(refusalOf(url, true)).toBe("Expected a URL that begins with `https://` or `http://`, got another scheme");
  });

  it.each([
    "",
    "/in",
    "hooks.example.com/in",
    "//example.com",
    "https://",
    "https://?a",
    "https://[::1",
    "https://1.2.3.4.5/",
    "https://a b/",
  ])("that is none is refused: %o", (url) => {
    for (const allowPrivate of [false, true]) {
      expect(refusalOf(url, allowPrivate)).toBe(
        "Expected a whole URL such as `https://hooks.example.com/in`, got what is not one",
      );
    }
  });

  it.each([undefined, null, 5, {}, new URL("https://example.com")])("must be a string, not %o", (url) => {
    expect(refusalOf(url as string, true)).toMatch(/^Expected a URL as a string, got /);
  });

  it.each(["https://./", "https://../"])("needs a host: %s", (url) => {
    expect(refusalOf(url, false)).toBe("Expected a URL with a host, got one without");
    expect(refusalOf(url, true)).toBe("Expected a URL with a host, got one without");
  });

  it("may have 2048 characters", () => {
    const url = `https://hooks.example.com/${"x".repeat(2022)}`;
    expect(url.length).toBe(2048);
    expect(refusalOf(url, false)).toBeUndefined();
    expect(refusalOf(`${url}x`, false)).toBe("Expected a URL of at most 2048 characters, got 2049");
    expect(refusalOf(`${url}x`, true)).toBe("Expected a URL of at most 2048 characters, got 2049");
  });

  it.each(["https://user:hunter2@example.com/", "https://hunter2@example.com/", "https://:hunter2@example.com/"])(
    "with credentials is refused, without repeating them",
    (url) => {
      for (const allowPrivate of [false, true]) {
        expect(refusalOf(url, allowPrivate)).toBe(
          "Expected a URL without credentials, got some for `example.com`: they would be secrets in a URL that is stored",
        );
      }
    },
  );

  it.each([
    "http://127.0.0.1:8787/hunter2?hunter2#hunter2",
    "https://10.0.0.1/hunter2?hunter2#hunter2",
    "https://[::1]/hunter2?hunter2",
    "https://db.internal/hunter2?hunter2",
    "https://db/hunter2",
    "https://hunter2:hunter2@db/hunter2",
    "hunter2:hunter2@example.com/hunter2",
    "ftp://hunter2:hunter2@example.com/hunter2",
    "https://exa mple.com/hunter2",
    `https://example.com/hunter2${"x".repeat(3000)}`,
  ])("is not repeated but for its host: %s", (url) => {
    expect(refusalOf(url, false)).toBeDefined();
    expect(refusalOf(url, false)).not.toContain("hunter2");
  });
});

describe("in development", () => {
  test.prop([anyNumber, spelling, fc.constantFrom("http", "https")], RUNS)(
    "every address is allowed",
    (number, write, scheme) => {
      expect(refusalOf(`${scheme}://${write(number)}:8787/in`, true)).toBeUndefined();
    },
  );

  it.each([
    "http://localhost:8787/",
    "https://db.internal/",
    "http://router/",
    "http://[::1]:80/",
    "http://[fd00::1]/",
  ])("%s is allowed", (url) => {
    expect(refusalOf(url, true)).toBeUndefined();
    expect(refusalOf(url, false)).toBeDefined();
  });
});
