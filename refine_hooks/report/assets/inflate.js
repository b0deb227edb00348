// Raw DEFLATE (RFC 1951): the rounds of a report are packed so, since a browser reads text slower than this unpacks it.
const LENGTH_FROM = [3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131];
LENGTH_FROM.push(163, 195, 227, 258);
const DISTANCE_FROM = [1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537];
DISTANCE_FROM.push(2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577);
const ORDER_OF_LENGTHS = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

// Bits of the input, the lowest of a byte first.
function bitsOf(bytes) {
  let at = 0,
    held = 0,
    many = 0;
  return {
    take(n) {
      while (many < n) {
        held |= bytes[at++] << many;
        many += 8;
      }
      const value = held & ((1 << n) - 1);
      held >>>= n;
      many -= n;
      return value;
    },
    // The symbol that comes next, looked up by the next bits.
    symbol({ table, most }) {
      while (many < most && at < bytes.length) {
        held |= bytes[at++] << many;
        many += 8;
      }
      const found = table[held & ((1 << most) - 1)],
        length = found & 15;
      held >>>= length;
      many -= length;
      return found >> 4;
    },
    // What is left of the byte is passed over; then so many bytes.
    whole(n, copy) {
      at -= many >> 3;
      held = many = 0;
      copy(bytes.subarray(at, at + n));
      at += n;
    },
  };
}

// Code lengths -> a table from the next bits to symbol and length.
function codesOf(lengths) {
  const most = Math.max(1, ...lengths),
    table = new Uint16Array(1 << most);
  for (let length = 1, code = 0; length <= most; length++, code <<= 1) {
    for (let symbol = 0; symbol < lengths.length; symbol++) {
      if (lengths[symbol] !== length) continue;
      let turned = 0;
      for (let i = 0; i < length; i++) turned |= ((code >> i) & 1) << (length - 1 - i);
      for (let i = turned; i < table.length; i += 1 << length) table[i] = (symbol << 4) | length;
      code++;
    }
  }
  return { table, most };
}

function fixedCodes() {
  const lengths = Array.from({ length: 288 }, (_, i) => (i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8));
  return [codesOf(lengths), codesOf(Array(30).fill(5))];
}

function statedCodes(bits) {
  const literals = bits.take(5) + 257,
    distances = bits.take(5) + 1,
    stated = Array(19).fill(0),
    lengths = [];
  for (let i = 0, n = bits.take(4) + 4; i < n; i++) stated[ORDER_OF_LENGTHS[i]] = bits.take(3);
  const codes = codesOf(stated);
  while (lengths.length < literals + distances) {
    const symbol = bits.symbol(codes);
    if (symbol < 16) lengths.push(symbol);
    else {
      const again = symbol === 16 ? lengths.at(-1) : 0,
        n = symbol === 16 ? bits.take(2) + 3 : symbol === 17 ? bits.take(3) + 3 : bits.take(7) + 11;
      for (let i = 0; i < n; i++) lengths.push(again);
    }
  }
  return [codesOf(lengths.slice(0, literals)), codesOf(lengths.slice(literals))];
}

function inflated(bytes, size) {
  const bits = bitsOf(bytes),
    out = new Uint8Array(size);
  let to = 0;
  for (let last = 0; !last;) {
    last = bits.take(1);
    const kind = bits.take(2);
    if (kind === 0) {
      bits.whole(0, () => 0);
      const n = bits.take(16);
      bits.take(16);
      bits.whole(n, (part) => out.set(part, to));
      to += n;
    } else {
      const [literals, distances] = kind === 1 ? fixedCodes() : statedCodes(bits);
      for (let symbol = bits.symbol(literals); symbol !== 256; symbol = bits.symbol(literals)) {
        if (symbol < 256) out[to++] = symbol;
        else to = copied(out, to, bits, symbol - 257, distances);
      }
    }
  }
  return out;
}

// Repeats what was written some way back; 258 is the one length without further bits at its end of the list.
function copied(out, to, bits, of, distances) {
  const more = of < 8 || of === 28 ? 0 : (of - 4) >> 2,
    length = LENGTH_FROM[of] + bits.take(more),
    symbol = bits.symbol(distances),
    distance = DISTANCE_FROM[symbol] + bits.take(symbol < 4 ? 0 : (symbol - 2) >> 1);
  for (let i = 0; i < length; i++, to++) out[to] = out[to - distance];
  return to;
}

// JSON that was packed: its size in bytes, and DEFLATE in base64.
function unpackedJson({ size, deflated }) {
  const raw = atob(deflated),
    bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  return JSON.parse(new TextDecoder().decode(inflated(bytes, size)));
}
