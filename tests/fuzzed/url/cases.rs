//! URLs as people, and those who probe, write them, with addresses near the interesting ones.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::super::input::Input;
use super::Answers;

const V4: [[u8; 4]; 12] = [
    [127, 0, 0, 1],
    [10, 0, 0, 1],
    [169, 254, 169, 254],
    [192, 168, 1, 1],
    [172, 31, 255, 255],
    [8, 8, 8, 8],
    [100, 64, 0, 1],
    [0, 0, 0, 0],
    [224, 0, 0, 1],
    [255, 255, 255, 255],
    [168, 63, 129, 16],
    [1, 1, 1, 1],
];

/// What stands before the low 32 bits.
const PREFIXES: [[u16; 6]; 10] = [
    [0, 0, 0, 0, 0, 0],
    [0, 0, 0, 0, 0, 0xffff],
    [0, 0, 0, 0, 0xffff, 0],
    [0x64, 0xff9b, 0, 0, 0, 0],
    [0x64, 0xff9b, 1, 0, 0, 0],
    [0x2606, 0x4700, 0, 0, 0, 0x5efe],
    [0xfd00, 0, 0, 0, 0, 0],
    [0xfe80, 0, 0, 0, 0, 0],
    [0x2606, 0x4700, 0, 0, 0, 0],
    [0x2001, 0, 0, 0, 0, 0],
];

const HOSTS: [&str; 10] = [
    "a.example",
    "hooks.example.com.",
    "localhost",
    "LOCALHOST.",
    "a.localhost",
    "①②⑦.0.0.1",
    "xn--",
    "a@127.0.0.1",
    "%31",
    "1.1.1.1#@10.0.0.1",
];

pub(super) fn answers(input: &mut Input<'_>) -> Answers {
    let lists = 1 + input.below(3);
    (0..lists).map(|_| (0..=input.below(3)).map(|_| address(input)).collect()).collect()
}

pub(super) fn url(input: &mut Input<'_>) -> String {
    if input.chance_in(8) {
        return input.text(255);
    }
    let scheme = input.pick(&["https://", "https://", "https://", "HTTPS:\\\\", "https:///", "https:"]);
    let host = host(input);
    let port = match input.below(4) {
        // Port 0 is refused, and would be every port at the end of an input.
        0 => format!(":{}", 1 + input.number() % 0xffff),
        _ => String::new(),
    };
    format!("{scheme}{host}{port}/{}", input.pick(&["", "x?y=1", "@10.0.0.1/", "..//"]))
}

fn host(input: &mut Input<'_>) -> String {
    match input.below(6) {
        0 => input.pick(&HOSTS).to_owned(),
        1 => input.text(24),
        2 => "hooks.example.com".to_owned(),
        _ => written(input),
    }
}

/// An address in one of the ways in which it may be written.
fn written(input: &mut Input<'_>) -> String {
    let way = input.below(6);
    match (address(input), way) {
        (IpAddr::V4(it), 0) => it.to_bits().to_string(),
        (IpAddr::V4(it), 1) => format!("{:#x}", it.to_bits()),
        (IpAddr::V4(it), 2) => format!("0{:o}.{}", it.octets()[0], it.to_bits() & 0xff_ffff),
        (IpAddr::V4(it), 3) => format!("{it}."),
        (IpAddr::V4(it), 4) => format!("[::ffff:{it}]"),
        (IpAddr::V4(it), _) => it.to_string(),
        (IpAddr::V6(it), 0) => format!("[{it}%25eth0]"),
        (IpAddr::V6(it), 1) => it.to_string(),
        (IpAddr::V6(it), _) => format!("[{it}]"),
    }
}

fn address(input: &mut Input<'_>) -> IpAddr {
    match input.below(8) {
        0..=2 => v4(input).into(),
        3..=5 => {
            let [a, b, c, d, e, f] = input.pick(&PREFIXES);
            let prefix = Ipv6Addr::new(a, b, c, d, e, f, 0, 0);
            Ipv6Addr::from_bits(prefix.to_bits() | u128::from(v4(input).to_bits())).into()
        }
        6 => Ipv6Addr::from_bits(0x2002 << 112 | u128::from(v4(input).to_bits()) << 80 | 1).into(),
        _ => Ipv6Addr::from_bits(u128::from(input.number()) << 64 | u128::from(input.number())).into(),
    }
}

fn v4(input: &mut Input<'_>) -> Ipv4Addr {
    if input.chance_in(4) {
        Ipv4Addr::from_bits(u32::from_le_bytes(std::array::from_fn(|_| input.byte())))
    } else {
        input.pick(&V4).into()
    }
}
