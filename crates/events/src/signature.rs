//! Signatures as Standard Webhooks has them: HMAC-SHA256 over id, time and body, by one secret or, while it is replaced, by
//! two. A receiver that knows either of them takes the event.

use aws_lc_rs::{constant_time::verify_slices_are_equal, hmac};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretSlice};

/// The event's `source` and `id` are in the body; this one tells deliveries of one event together.
pub const ID: &str = "webhook-id";
/// Seconds since 1970, when it was sent.
pub const TIMESTAMP: &str = "webhook-timestamp";
/// `v1,BASE64`, once for each secret, with a space between.
pub const SIGNATURE: &str = "webhook-signature";
/// How old, or how far ahead, a delivery may be.
pub const TOLERANCE: SignedDuration = SignedDuration::from_mins(5);

/// Most secrets at a time: the one that counts and the one that goes.
const MOST: usize = 2;
/// Shorter ones could be guessed.
const SHORTEST: usize = 24;

/// The secrets that deliveries are signed with.
#[derive(Clone, Debug)]
pub struct Secrets(Vec<SecretSlice<u8>>);

impl Secrets {
    /// Reads a file's text: a secret a line, `whsec_` and base64, the one that stays first.
    ///
    /// # Errors
    /// A sentence that says what is wrong, without the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let secrets: Vec<SecretSlice<u8>> = lines.enumerate().map(one).collect::<Result<_, _>>()?;
        if secrets.is_empty() {
            return Err("there is no secret in it".to_owned());
        }
        if secrets.len() > MOST {
            return Err(format!("there are more than {MOST} secrets in it"));
        }
        Ok(Self(secrets))
    }

    /// The value of [`SIGNATURE`].
    #[must_use]
    pub fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        let each =
            self.0.iter().map(|secret| format!("v1,{}", STANDARD.encode(tag(secret, id, timestamp, body))));
        each.collect::<Vec<_>>().join(" ")
    }

    /// What a receiver does: whether one of the signatures is by one of these secrets, and the delivery is no old one that
    /// somebody sends again.
    ///
    /// # Errors
    /// Why it is not to be believed.
    pub fn verify(
        &self,
        id: &str,
        timestamp: &str,
        signatures: &str,
        body: &[u8],
        now: Timestamp,
    ) -> Result<(), Refused> {
        let sent: i64 = timestamp.parse().map_err(|_| Refused::Malformed)?;
        let at = Timestamp::from_second(sent).map_err(|_| Refused::Malformed)?;
        if now.duration_since(at).abs() > TOLERANCE {
            return Err(Refused::Old);
        }
        let given: Vec<Vec<u8>> =
            signatures.split(' ').filter_map(|one| STANDARD.decode(one.strip_prefix("v1,")?).ok()).collect();
        let good = self.0.iter().any(|secret| {
            let wanted = tag(secret, id, sent, body);
            given.iter().any(|one| verify_slices_are_equal(one, &wanted).is_ok())
        });
        if good { Ok(()) } else { Err(Refused::Forged) }
    }
}

/// Why a delivery is not to be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The time is no number of seconds.
    #[error("the time of the delivery cannot be read")]
    Malformed,
    /// Sent too long ago, or by a clock that is ahead.
    #[error("the delivery is older than five minutes, or a clock is wrong")]
    Old,
    /// By none of the secrets, or over something else.
    #[error("the signature is by none of the secrets, or over something else")]
    Forged,
}

fn one((at, line): (usize, &str)) -> Result<SecretSlice<u8>, String> {
    let number = at + 1;
    let text =
        line.strip_prefix("whsec_").ok_or_else(|| format!("secret {number} does not begin with whsec_"))?;
    let bytes = STANDARD.decode(text).map_err(|_| format!("secret {number} is no base64"))?;
    if bytes.len() < SHORTEST {
        return Err(format!("secret {number} is shorter than {SHORTEST} bytes"));
    }
    Ok(SecretSlice::from(bytes))
}

fn tag(secret: &SecretSlice<u8>, id: &str, timestamp: i64, body: &[u8]) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose_secret());
    let mut context = hmac::Context::with_key(&key);
    context.update(format!("{id}.{timestamp}.").as_bytes());
    context.update(body);
    context.sign().as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // in tests a panic is the message
    use super::*;

    /// From the reference implementation's own test (standard-webhooks, `test_sign_function`).
    #[test]
    fn it_signs_as_the_reference_does() {
        let secrets = Secrets::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signature =
            secrets.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn both_secrets_count_while_one_is_replaced_and_nothing_else_does() {
        let old = format!("whsec_{}", STANDARD.encode([1; 32]));
        let new = format!("whsec_{}", STANDARD.encode([2; 32]));
        let (first, second) = (Secrets::parse(&old).unwrap(), Secrets::parse(&new).unwrap());
        let both = Secrets::parse(&format!("{new}\n{old}\n")).unwrap();
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        let signature = both.sign("a", 1_700_000_000, b"body");
        for receiver in [&first, &second, &both] {
            assert_eq!(receiver.verify("a", "1700000000", &signature, b"body", now), Ok(()));
        }
        let by_old = first.sign("a", 1_700_000_000, b"body");
        assert_eq!(second.verify("a", "1700000000", &by_old, b"body", now), Err(Refused::Forged));
        assert_eq!(first.verify("a", "1700000000", &by_old, b"bodY", now), Err(Refused::Forged));
        assert_eq!(first.verify("b", "1700000000", &by_old, b"body", now), Err(Refused::Forged));
        let later = now + SignedDuration::from_secs(301);
        assert_eq!(first.verify("a", "1700000000", &by_old, b"body", later), Err(Refused::Old));
        assert_eq!(first.verify("a", "soon", &by_old, b"body", now), Err(Refused::Malformed));
        assert_eq!(first.verify("a", "1700000001", &by_old, b"body", now), Err(Refused::Forged));
    }

    #[test]
    fn a_bad_file_is_refused_without_its_text() {
        for (text, why) in [
            ("", "no secret"),
            ("c2VjcmV0", "whsec_"),
            ("whsec_***", "base64"),
            ("whsec_c2hvcnQ=", "shorter"),
        ] {
            let error = Secrets::parse(text).unwrap_err();
            assert!(error.contains(why), "{error}");
            assert!(!error.contains("c2"), "{error}");
        }
        let three = vec![format!("whsec_{}", STANDARD.encode([1; 32])); 3].join("\n");
        assert!(Secrets::parse(&three).unwrap_err().contains("more than 2"));
    }
}
