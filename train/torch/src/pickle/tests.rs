//! Pickles of every protocol, malformed ones, and hostile ones.

use jepa3d_schemas::Draws;

use super::*;

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}

/// A value as text; what is within itself, as dots.
fn show(pickled: &Pickled, value: &Value, depth: usize) -> String {
    let list = |ids: &[Id]| {
        ids.iter().map(|&id| show(pickled, pickled.get(id), depth + 1)).collect::<Vec<_>>().join(" ")
    };
    match value {
        _ if depth > 8 => "..".to_owned(),
        Value::None => "None".to_owned(),
        Value::Bool(b) => b.to_string(),
        Value::Int(n) => n.to_string(),
        Value::Float(x) => format!("{x:?}"),
        Value::Text(text) => format!("{text:?}"),
        Value::Tuple(ids) => format!("({})", list(ids)),
        Value::List(ids) => format!("[{}]", list(ids)),
        Value::Dict(pairs) => {
            let pair = |p: &(Id, Id)| format!("{}={}", list(&[p.0]), list(&[p.1]));
            format!("{{{}}}", pairs.iter().map(pair).collect::<Vec<_>>().join(" "))
        }
        other => other.kind(),
    }
}

fn shown(pickle: &[u8]) -> String {
    let pickled = unpickle(pickle).unwrap();
    assert_eq!(pickled.read(), pickle.len());
    show(&pickled, pickled.root(), 0)
}

/// `pickle.dumps(x, protocol)` for protocols 0 to 5 of
/// `a = [1, -2, 3.5, True, None]; x = {"a": a, "b": (1, (2,), ()), "c": OrderedDict(d="é"), "big": 1 << 70,
/// "neg": -(1 << 33), "again": a, "s": {7}, "y": b"\x00\xff", "n": 70000}`.
const PROTOCOLS: [&str; 6] = [
    "286470300a56610a70310a286c70320a49310a61492d320a6146332e350a614930310a614e617356620a70330a284931\
     0a2849320a7470340a28747470350a7356630a70360a63636f6c6c656374696f6e730a4f726465726564446963740a70\
     370a28745270380a56640a70390a56e90a7031300a7373566269670a7031310a4c313138303539313632303731373431\
     313330333432344c0a73566e65670a7031320a4c2d383538393933343539324c0a7356616761696e0a7031330a67320a\
     7356730a7031340a635f5f6275696c74696e5f5f0a7365740a7031350a28286c7031360a49370a61747031370a527031\
     380a7356790a7031390a635f636f646563730a656e636f64650a7032300a28565c7530303030ff0a7032310a566c6174\
     696e310a7032320a747032330a527032340a73566e0a7032350a4937303030300a732e",
    "7d71002858010000006171015d7102284b014afeffffff47400c0000000000004930310a4e655801000000627103284b\
     01284b0274710429747105580100000063710663636f6c6c656374696f6e730a4f726465726564446963740a71072952\
     710858010000006471095802000000c3a9710a735803000000626967710b4c3131383035393136323037313734313133\
     30333432344c0a58030000006e6567710c4c2d383538393933343539324c0a5805000000616761696e710d6802580100\
     000073710e635f5f6275696c74696e5f5f0a7365740a710f285d71104b07617471115271125801000000797113635f63\
     6f646563730a656e636f64650a711428580300000000c3bf711558060000006c6174696e317116747117527118580100\
     00006e71194a70110100752e",
    "80027d71002858010000006171015d7102284b014afeffffff47400c000000000000884e6558010000006271034b014b\
     0285710429877105580100000063710663636f6c6c656374696f6e730a4f726465726564446963740a71072952710858\
     010000006471095802000000c3a9710a735803000000626967710b8a0900000000000000004058030000006e6567710c\
     8a0500000000fe5805000000616761696e710d6802580100000073710e635f5f6275696c74696e5f5f0a7365740a710f\
     5d71104b07618571115271125801000000797113635f636f646563730a656e636f64650a7114580300000000c3bf7115\
     58060000006c6174696e31711686711752711858010000006e71194a70110100752e",
    "80037d71002858010000006171015d7102284b014afeffffff47400c000000000000884e6558010000006271034b014b\
     0285710429877105580100000063710663636f6c6c656374696f6e730a4f726465726564446963740a71072952710858\
     010000006471095802000000c3a9710a735803000000626967710b8a0900000000000000004058030000006e6567710c\
     8a0500000000fe5805000000616761696e710d6802580100000073710e636275696c74696e730a7365740a710f5d7110\
     4b07618571115271125801000000797113430200ff711458010000006e71154a70110100752e",
    "8004959f000000000000007d94288c0161945d94284b014afeffffff47400c000000000000884e658c0162944b014b02\
     85942987948c0163948c0b636f6c6c656374696f6e73948c0b4f726465726564446963749493942952948c0164948c02\
     c3a994738c03626967948a090000000000000000408c036e6567948a0500000000fe8c05616761696e9468028c017394\
     8f94284b07908c017994430200ff948c016e944a70110100752e",
    "8005959f000000000000007d94288c0161945d94284b014afeffffff47400c000000000000884e658c0162944b014b02\
     85942987948c0163948c0b636f6c6c656374696f6e73948c0b4f726465726564446963749493942952948c0164948c02\
     c3a994738c03626967948a090000000000000000408c036e6567948a0500000000fe8c05616761696e9468028c017394\
     8f94284b07908c017994430200ff948c016e944a70110100752e",
];

#[test]
fn every_protocol() {
    for (protocol, hex) in PROTOCOLS.iter().enumerate() {
        let text = shown(&bytes(hex));
        let begin = r#"{"a"=[1 -2 3.5 true None] "b"=(1 (2) ()) "c"="#;
        let ordered = "{\"d\"=\"é\"}";
        let end = r#" "big"=an object of int "neg"=-8589934592 "again"=[1 -2 3.5 true None]"#;
        let expected = format!("{begin}{ordered}{end}");
        assert!(text.starts_with(&expected), "protocol {protocol}: {text}\n{expected}");
        assert!(text.ends_with(r#" "n"=70000}"#), "protocol {protocol}: {text}");
    }
}

/// Every prefix of a pickle ends too early, and says so.
#[test]
fn every_prefix_is_refused() {
    for hex in PROTOCOLS {
        let whole = bytes(hex);
        for len in 0..whole.len() {
            let fault = unpickle(&whole[..len]).unwrap_err();
            assert!(fault.at <= len, "{fault:?}");
        }
    }
}

#[test]
fn malformed_pickles_are_explained() {
    let cases: [(&[u8], usize, &str, &str); 14] = [
        (b"\x80\x02", 2, "1 more bytes", "0, then the end"),
        (b"\x80\x09N.", 0, "a pickle of protocol 0 to 5", "9"),
        (b"\xff", 0, "an instruction of a pickle", "byte 0xff"),
        (b".", 1, "a value", "an empty stack"),
        (b"(N(.", 4, "a value", "an empty stack"),
        (b"NNt.", 2, "a mark", "none"),
        (b"h\x07.", 0, "a remembered value", "none in slot 7"),
        (b"NNa.", 2, "a container to add to", "None"),
        (b"}(Nu.", 3, "keys with values", "1 parts"),
        (b"]NNs.", 3, "a container to add to", "a list of 0"),
        (b"X\xff\xff\xff\xffabc.", 0, "4294967295 more bytes", "4, then the end"),
        (
            b"\x8d\xff\xff\xff\xff\xff\xff\xff\xffabc.",
            0,
            "18446744073709551615 more bytes",
            "4, then the end",
        ),
        (b"Fabc\n.", 0, "a number", "\"abc\""),
        (b"NN\x93.", 2, "the name of a class", "None"),
    ];
    for (pickle, at, expected, found) in cases {
        let fault = Fault { at, expected: expected.to_owned(), found: found.to_owned() };
        assert_eq!(unpickle(pickle).unwrap_err(), fault, "{pickle:?}");
    }
    let long = [b"c".as_slice(), &[b'm'; 300], b"\nname\n."].concat();
    assert_eq!(unpickle(&long).unwrap_err().expected, "a name of at most 256 bytes");
}

/// Nothing is called: what Python would run is an opaque value.
#[test]
fn calls_are_not_made() {
    assert_eq!(shown(b"cos\nsystem\nX\x02\0\0\0ls\x85R."), "an object of os.system");
    assert_eq!(shown(b"cos\nsystem\n(X\x02\0\0\0lst\x81."), "an object of os.system");
    assert_eq!(shown(b"(ios\nsystem\nX\x02\0\0\0lsb."), "an object of a class of protocol 0");
    assert_eq!(shown(b"cm\nClass\n)R(X\x01\0\0\0aNu}b)R."), "an object of m.Class", "and has no state");
}

/// Values nested a million deep, and one that holds itself, are neither followed nor dropped recursively.
#[test]
fn depth_is_no_danger() {
    let nested = [b"N".as_slice(), &[0x85; 1_000_000], b"."].concat();
    assert_eq!(unpickle(&nested).unwrap().root().kind(), "a tuple of 1");
    assert!(shown(b"]q\x00h\x00a.").starts_with("[[[["));
    let doubling = [b"N".as_slice(), &b"2\x86".repeat(100), b"."].concat();
    assert_eq!(unpickle(&doubling).unwrap().values.len(), 101, "2^100 leaves, shared");
}

#[test]
fn too_many_values() {
    let many = vec![b'N'; (1 << 22) + 1];
    let fault = unpickle(&many).unwrap_err();
    assert_eq!((fault.at, fault.expected.as_str()), (1 << 22, "at most 4194304 values"));
}

/// Bytes changed, removed, doubled: an error or a value, never a panic.
#[test]
fn mutations_never_panic() {
    let mut draws = Draws::new(4, "pickle", "mutations");
    let mut whole: Vec<Vec<u8>> = PROTOCOLS.iter().map(|hex| bytes(hex)).collect();
    whole.push(include_bytes!("../../goldens/old.pth").to_vec());
    let mut accepted = 0;
    for round in 0..20_000 {
        let mut pickle = whole[round % whole.len()].clone();
        for _ in 0..1 + draws.index(4) {
            let at = draws.index(pickle.len());
            match draws.index(4) {
                0 => pickle[at] = draws.bits() as u8,
                1 => pickle[at] ^= 1 << draws.index(8),
                2 => drop(pickle.remove(at)),
                _ => pickle.insert(at, b"(tlduesbRo0123QP\x81\x85\x93\x94"[draws.index(20)]),
            }
        }
        accepted += usize::from(unpickle(&pickle).is_ok());
    }
    assert!(
        (1000..19_000).contains(&accepted),
        "{accepted}: mutations that change nothing, or all, test nothing"
    );
}
