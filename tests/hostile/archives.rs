//! Small files that decode to large ones, and small pictures: deflate, PNG and zip by hand, so that no crate is needed.

/// Bits into bytes, lowest first, as deflate wants them.
#[derive(Default)]
struct BitWriter {
    bytes: Vec<u8>,
    pending: u32,
    count: u32,
}

impl BitWriter {
    fn push(&mut self, value: u32, bits: u32) {
        self.pending |= value << self.count;
        self.count += bits;
        while self.count >= 8 {
            self.bytes.push(self.pending as u8);
            self.pending >>= 8;
            self.count -= 8;
        }
    }

    fn finish(mut self) -> Vec<u8> {
        self.push(0, (8 - self.count) % 8);
        self.bytes
    }
}

/// Appends the last deflate block, of `count` zeros: 258 of them in two bits.
///
/// Its codes: literal 0 is `10`, the end `11`, a repeat of 258 bytes `0`, its distance of one `0`.
fn push_zeros(bits: &mut BitWriter, count: u64) {
    bits.push(0b101, 3);
    [(29, 5), (0, 5), (14, 4)].iter().for_each(|(value, width)| bits.push(*value, *width));
    // Lengths of the codes of code lengths, in deflate's order: 18 has one bit, 1 and 2 have two.
    for length in [0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 2] {
        bits.push(length, 3);
    }
    let zeros = |bits: &mut BitWriter, count: u32| {
        bits.push(0, 1);
        bits.push(count - 11, 7);
    };
    bits.push(0b11, 2);
    zeros(bits, 138);
    zeros(bits, 117);
    bits.push(0b11, 2);
    zeros(bits, 28);
    bits.push(0b01, 2);
    bits.push(0b01, 2);
    bits.push(0b01, 2);
    let (mut repeats, rest) = ((count - 1) / 258, (count - 1) % 258);
    while repeats > 0 && bits.count != 0 {
        bits.push(0, 2);
        repeats -= 1;
    }
    bits.bytes.resize(bits.bytes.len() + (repeats / 4) as usize, 0);
    (0..repeats % 4).for_each(|_| bits.push(0, 2));
    (0..rest).for_each(|_| bits.push(0b01, 2));
    bits.push(0b11, 2);
}

/// Deflate of a short beginning and many zeros.
fn deflate(beginning: &[u8], zeros: u64) -> Vec<u8> {
    let mut bits = BitWriter::default();
    let length = beginning.len() as u16;
    bits.push(0, 8);
    bits.bytes.extend([length.to_le_bytes(), (!length).to_le_bytes()].concat());
    bits.bytes.extend(beginning);
    // The header of a stored block was three bits and padding.
    push_zeros(&mut bits, zeros);
    bits.finish()
}

fn crc_step(crc: u32) -> u32 {
    (0..8).fold(crc, |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 })
}

/// CRC-32 of some bytes and then `zeros` zeros, by squaring what one zero does to the register.
fn crc32(bytes: &[u8], mut zeros: u64) -> u32 {
    let mut crc = bytes.iter().fold(!0, |crc: u32, byte| crc_step(crc ^ u32::from(*byte)));
    let apply = |step: &[u32; 32], crc: u32| {
        (0..32).filter(|bit| crc >> bit & 1 == 1).fold(0, |sum, bit| sum ^ step[bit as usize])
    };
    let mut step: [u32; 32] = std::array::from_fn(|bit| crc_step(1 << bit));
    while zeros > 0 {
        if zeros & 1 == 1 {
            crc = apply(&step, crc);
        }
        step = step.map(|column| apply(&step, column));
        zeros >>= 1;
    }
    !crc
}

fn adler32(bytes: &[u8], zeros: u64) -> u32 {
    let (a, b) = bytes.iter().fold((1u64, 0u64), |(a, b), byte| {
        let a = (a + u64::from(*byte)) % 65521;
        (a, (b + a) % 65521)
    });
    (((b + a * (zeros % 65521)) % 65521) << 16 | a) as u32
}

/// A zip with one file that begins with `beginning` and goes on with `zeros` zeros, less than 4 GB in all.
pub(crate) fn zip(name: &str, beginning: &[u8], zeros: u64) -> Vec<u8> {
    let data = deflate(beginning, zeros);
    let sizes = [crc32(beginning, zeros), data.len() as u32, (beginning.len() as u64 + zeros) as u32];
    let sizes: Vec<u8> = sizes.iter().flat_map(|size| size.to_le_bytes()).collect();
    let name_size = (name.len() as u16).to_le_bytes();
    // Version 2.0, no flags, deflate, no time, then sizes, then the lengths of name and extra field.
    let common = [&[20, 0, 0, 0, 8, 0, 0, 0, 0x21, 0][..], &sizes, &name_size, &[0, 0]].concat();
    let local = [b"PK\x03\x04", &common[..], name.as_bytes(), &data].concat();
    let central = [b"PK\x01\x02\x14\x00", &common[..], &[0; 14], name.as_bytes()].concat();
    let end = [(central.len() as u32).to_le_bytes(), (local.len() as u32).to_le_bytes()].concat();
    [&local[..], &central, b"PK\x05\x06\0\0\0\0\x01\0\x01\0", &end, &[0, 0]].concat()
}

/// The header of an npy file of `rows` rows of three f32.
pub(crate) fn npy_header(rows: u64) -> Vec<u8> {
    let mut text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, 3), }}");
    while (10 + text.len() + 1) % 64 != 0 {
        text.push(' ');
    }
    text.push('\n');
    [b"\x93NUMPY\x01\0", &(text.len() as u16).to_le_bytes()[..], text.as_bytes()].concat()
}

/// An npz of `rows` points, all at the origin.
pub(crate) fn npz(rows: u64) -> Vec<u8> {
    zip("points.npy", &npy_header(rows), rows * 12)
}

fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let body = [&kind[..], data].concat();
    [&(data.len() as u32).to_be_bytes()[..], &body, &crc32(&body, 0).to_be_bytes()].concat()
}

/// A PNG whose scan lines (a filter byte and RGB pixels) are `beginning` and then zeros.
fn png(width: u32, height: u32, beginning: &[u8]) -> Vec<u8> {
    let zeros = u64::from(height) * (1 + 3 * u64::from(width)) - beginning.len() as u64;
    let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 2, 0, 0, 0]].concat();
    let check = adler32(beginning, zeros).to_be_bytes();
    let data = [&[0x78, 0x9c][..], &deflate(beginning, zeros), &check].concat();
    [b"\x89PNG\r\n\x1a\n", &chunk(b"IHDR", &header)[..], &chunk(b"IDAT", &data), &chunk(b"IEND", &[])]
        .concat()
}

/// A black picture.
pub(crate) fn black_png(width: u32, height: u32) -> Vec<u8> {
    png(width, height, &[0])
}

/// A picture of 16 x 16 pixels of one colour, but for a black last one.
pub(crate) fn plain_png(color: [u8; 3]) -> Vec<u8> {
    let line = [&[0][..], &color.repeat(16)].concat();
    let lines = line.repeat(16);
    png(16, 16, &lines[..lines.len() - 3])
}

/// Bytes as a `data:` URI.
pub(crate) fn data_uri(bytes: &[u8]) -> String {
    let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let four = |three: &[u8]| -> String {
        let value = (0..3).fold(0, |sum, i| sum << 8 | u32::from(three.get(i).copied().unwrap_or(0)));
        let letter =
            |i: usize| if i <= three.len() { letters[(value >> (18 - 6 * i) & 63) as usize] } else { b'=' };
        (0..4).map(|i| char::from(letter(i))).collect()
    };
    format!("data:application/octet-stream;base64,{}", bytes.chunks(3).map(four).collect::<String>())
}
