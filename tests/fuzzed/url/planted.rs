//! Guards as they are written by those who have not met the exceptions.

use std::net::{IpAddr, SocketAddr};

use hookwire::model::CallbackUrl;

use super::{Answers, is_inside, is_inside_v6};

/// Judges IPv6 addresses by what they are, and not by the IPv4 address that they lead to.
pub(super) fn forgets_mapped(url: &str, answers: &Answers) -> Vec<SocketAddr> {
    let Some((literal, port)) = host(url) else { return Vec::new() };
    let found = literal.map_or_else(|| answers[0].clone(), |it| vec![it]);
    if found.iter().any(|it| is_plainly_inside(*it)) { Vec::new() } else { at(&found, port) }
}

/// Judges what one look-up gave, and dials what the next one gives.
pub(super) fn looks_twice(url: &str, answers: &Answers) -> Vec<SocketAddr> {
    let Some((literal, port)) = host(url) else { return Vec::new() };
    let is_fine = |list: &[IpAddr]| list.iter().all(|it| !super::is_forbidden(*it));
    let (judged, dialled) = match literal {
        Some(it) => (vec![it], vec![it]),
        None => (answers[0].clone(), answers[1 % answers.len()].clone()),
    };
    if is_fine(&judged) { at(&dialled, port) } else { Vec::new() }
}

fn is_plainly_inside(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(it) => is_inside(it),
        IpAddr::V6(it) => is_inside_v6(it),
    }
}

/// The address that the URL names, if it names one, and its port.
fn host(url: &str) -> Option<(Option<IpAddr>, u16)> {
    let url = CallbackUrl::parse(url).ok()?;
    let text = url.as_url().host_str()?.trim_matches(['[', ']']);
    Some((text.parse().ok(), url.as_url().port_or_known_default()?))
}

fn at(addresses: &[IpAddr], port: u16) -> Vec<SocketAddr> {
    addresses.iter().map(|it| SocketAddr::new(*it, port)).collect()
}
