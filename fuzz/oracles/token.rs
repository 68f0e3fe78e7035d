//! Tokens: a text is one when, and only when, it is `fd_`, 30 base62 characters and their checksum, computed here bit by bit.

use std::str;

use frontdesk::directory::Token;

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Any text as a token; a token made of the bytes; and that token with one character changed.
pub fn token(data: &[u8]) {
    if let Ok(text) = str::from_utf8(data) {
        let token = Token::parse(text);
        assert_eq!(token.is_some(), is_well_formed(text), "{text:?}");
        assert!(token.is_none_or(|token| token.reveal() == text));
    }
    let Some((secret, change)) = data.split_first_chunk::<30>() else { return };
    let mut text = b"fd_".to_vec();
    text.extend(secret.map(|byte| BASE62[usize::from(byte % 62)]));
    text.extend(checksum(&text));
    assert!(parses(&text));
    if let [at, byte, ..] = change {
        let at = usize::from(*at) % text.len();
        let before = std::mem::replace(&mut text[at], *byte);
        assert_eq!(parses(&text), before == *byte, "{}", String::from_utf8_lossy(&text));
    }
}

fn parses(text: &[u8]) -> bool {
    str::from_utf8(text).is_ok_and(|text| Token::parse(text).is_some())
}

fn is_well_formed(text: &str) -> bool {
    let Some((body, sum)) = text.as_bytes().split_at_checked(33) else { return false };
    body.starts_with(b"fd_") && body[3..].iter().all(|byte| BASE62.contains(byte)) && sum == checksum(body)
}

/// CRC-32 (ISO 3309) as six digits to the base 62.
fn checksum(text: &[u8]) -> [u8; 6] {
    let mut sum = !0_u32;
    for byte in text {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            sum = (sum >> 1) ^ (if sum & 1 == 1 { 0xedb8_8320 } else { 0 });
        }
    }
    let mut rest = !sum;
    let mut digits = [0; 6];
    for digit in digits.iter_mut().rev() {
        *digit = BASE62[(rest % 62) as usize];
        rest /= 62;
    }
    digits
}
