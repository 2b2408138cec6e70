import { describeType } from "./errors.ts";

/** The parts of a URL that are looked at. */
interface UrlParts {
  readonly protocol: string;
  readonly hostname: string;
  readonly username: string;
  readonly password: string;
}

/** A block of addresses and what they are for. */
type Block = readonly [block: string, purpose: string];
type Rule = readonly [isWithin: (address: bigint) => boolean, rule: string];

const LONGEST = 2048;

/**
 * Addresses of the IPv4 special-purpose registry (RFC 6890, https://www.iana.org/assignments/iana-ipv4-special-registry) that are
 * not globally reachable, and those of RFC 5771 (multicast). The two anycast addresses in 192.0.0.0/24 are refused with the rest.
 */
const IPV4: readonly Block[] = [
  ["0.0.0.0/8", "this network, RFC 791"],
  ["10.0.0.0/8", "private, RFC 1918"],
  ["100.64.0.0/10", "shared by customers of a provider, RFC 6598"],
  ["127.0.0.0/8", "loopback, RFC 1122"],
  ["169.254.0.0/16", "link-local, RFC 3927"],
  ["172.16.0.0/12", "private, RFC 1918"],
  ["192.0.0.0/24", "IETF protocol assignments, RFC 6890"],
  ["192.0.2.0/24", "documentation, RFC 5737"],
  ["192.88.99.0/24", "6to4 relays, RFC 7526"],
  ["192.168.0.0/16", "private, RFC 1918"],
  ["198.18.0.0/15", "benchmarking, RFC 2544"],
  ["198.51.100.0/24", "documentation, RFC 5737"],
  ["203.0.113.0/24", "documentation, RFC 5737"],
  ["224.0.0.0/4", "multicast, RFC 5771"],
  ["255.255.255.255/32", "limited broadcast, RFC 8190"],
  ["240.0.0.0/4", "reserved, RFC 1112"],
];

/**
 * The same of the IPv6 registry (https://www.iana.org/assignments/iana-ipv6-special-registry), and blocks that carry an IPv4
 * address. Those are refused whatever they carry: who needs a public IPv4 address can write it as such.
 */
const IPV6: readonly Block[] = [
  ["::/128", "unspecified, RFC 4291"],
  ["::1/128", "loopback, RFC 4291"],
  ["::ffff:0:0/96", "an IPv4 address mapped, RFC 4291"],
  ["::/96", "an IPv4 address in a deprecated form, RFC 4291"],
  ["64:ff9b::/96", "an IPv4 address behind NAT64, RFC 6052"],
  ["64:ff9b:1::/48", "an IPv4 address behind a local NAT64, RFC 8215"],
  ["100::/64", "discarded, RFC 6666"],
  ["2001::/32", "Teredo, RFC 4380"],
  ["2001::/23", "IETF protocol assignments, RFC 2928"],
  ["2001:db8::/32", "documentation, RFC 3849"],
  ["2002::/16", "an IPv4 address in 6to4, RFC 3056"],
  ["3fff::/20", "documentation, RFC 9637"],
  ["fc00::/7", "unique local, RFC 4193"],
  ["fe80::/10", "link-local, RFC 4291"],
  ["fec0::/10", "site-local, RFC 3879"],
  ["ff00::/8", "multicast, RFC 4291"],
];
const GLOBAL_UNICAST = "2000::/3";

/**
 * The last labels of names that only mean something within a machine or a network: `localhost` and `test` (RFC 6761), `local` (RFC
 * 6762), what its appendix G finds in private use, `internal` (ICANN's resolution 2024.07.29.06), `home.arpa` (RFC 8375), and what
 * hosts files say.
 */
const LOCAL_NAMES: readonly string[] = [
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

const IPV4_RULES = IPV4.map((block) => ruleOf(block, ipv4Of, 32));
const IPV6_RULES = IPV6.map((block) => ruleOf(block, ipv6Of, 128));
const [isGlobalUnicast] = ruleOf([GLOBAL_UNICAST, ""], ipv6Of, 128);

/**
 * Why no request may go to a URL that someone else has chosen, or nothing where one may: it would come from within the network that
 * the server is in (server-side request forgery). Only `https:` to a host of the public Internet; `allowPrivate`, which is for
 * development, allows `http:` and every host too. The reason names host and rule, and nothing else of the URL: its path and query
 * may hold secrets.
 *
 * A name is judged as it is written. What address it has is not known here, and a public name may well have a private one. And a
 * response may redirect: who asks must refuse to follow, or judge each target as well.
 *
 * @example refusalOf("https://169.254.169.254/latest", false); // "Expected a URL with a public host, got `169.254.169.254`, …"
 */
export function refusalOf(url: string, allowPrivate: boolean): string | undefined {
  if (typeof url !== "string") return `Expected a URL as a string, got ${describeType(url)}`;
  if (url.length > LONGEST) return `Expected a URL of at most ${LONGEST} characters, got ${url.length}`;
  const parts = partsOf(url);
  if (parts === undefined) return "Expected a whole URL such as `https://hooks.example.com/in`, got what is not one";
  return refusalOfScheme(parts, allowPrivate) ?? refusalOfHost(parts, allowPrivate);
}

function partsOf(url: string): UrlParts | undefined {
  try {
    return new URL(url) as URL & UrlParts;
  } catch {
    return undefined;
  }
}

/** The scheme is not named unless it is `http:`. In `user:password@host`, which has lost its own, it is the user. */
function refusalOfScheme({ protocol }: UrlParts, allowPrivate: boolean): string | undefined {
  if (protocol === "https:" || (protocol === "http:" && allowPrivate)) return undefined;
  const expected = `Expected a URL that begins with \`https://\`${allowPrivate ? " or `http://`" : ""}`;
  return `${expected}, got ${protocol === "http:" ? "`http://`, which anyone on the way can read" : "another scheme"}`;
}

function refusalOfHost({ hostname, username, password }: UrlParts, allowPrivate: boolean): string | undefined {
  if (username !== "" || password !== "") {
    return `Expected a URL without credentials, got some for \`${hostname}\`: they would be secrets in a URL that is stored`;
  }
  // A name may end in a dot, which says that it is whole: `localhost.` is `localhost`. Of an address the parser removes it.
  const host = hostname.replace(/\.+$/, "");
  if (host === "") return "Expected a URL with a host, got one without";
  const rule = allowPrivate ? undefined : ruleAgainst(host);
  return rule && `Expected a URL with a public host, got \`${hostname}\`, which is ${rule}`;
}

/**
 * What a URL's host is that is not public. The parser (https://url.spec.whatwg.org/#host-parsing) has made names lower-case, has
 * decoded what was percent-encoded or written in wide characters, and has brought IPv4 addresses such as `0x7f.1` and `2130706433`
 * and all IPv6 addresses into one form.
 */
function ruleAgainst(host: string): string | undefined {
  if (host.startsWith("[")) return ruleAgainstIpv6(ipv6Of(host.slice(1, -1)));
  if (/^[\d.]+$/.test(host)) return ruleWithin(IPV4_RULES, ipv4Of(host));
  const local = LOCAL_NAMES.find((name) => host === name || host.endsWith(`.${name}`));
  if (local !== undefined) return `a name within a machine or a network (\`${local}\`)`;
  return host.includes(".") ? undefined : "a name without a dot, which only means something within a network";
}

function ruleAgainstIpv6(address: bigint): string | undefined {
  const rule = ruleWithin(IPV6_RULES, address);
  return rule ?? (isGlobalUnicast(address) ? undefined : `not in ${GLOBAL_UNICAST} (global unicast, RFC 4291)`);
}

function ruleWithin(rules: readonly Rule[], address: bigint): string | undefined {
  return rules.find(([isWithin]) => isWithin(address))?.[1];
}

function ruleOf([block, purpose]: Block, addressOf: (text: string) => bigint, bits: number): Rule {
  const [base = "", length] = block.split("/");
  const rest = BigInt(bits - Number(length));
  const prefix = addressOf(base) >> rest;
  return [(address) => address >> rest === prefix, `in ${block} (${purpose})`];
}

function ipv4Of(text: string): bigint {
  return text.split(".").reduce((address, byte) => (address << 8n) | BigInt(byte), 0n);
}

/** Of an address as the parser writes it: eight groups at most, one run of zeros shortened to `::`, no dots. */
function ipv6Of(text: string): bigint {
  const [head = [], tail = []] = text.split("::").map((half) => half.split(":").filter((group) => group !== ""));
  const zeros = Array.from({ length: 8 - head.length - tail.length }, () => "0");
  return [...head, ...zeros, ...tail].reduce((address, group) => (address << 16n) | BigInt(`0x${group}`), 0n);
}
