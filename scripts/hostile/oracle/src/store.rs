// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The handshake, over keys from standard input.

use std::{
    collections::HashMap,
    convert::Infallible,
    fmt,
    io::{
        self,
        BufRead as _, //
    },
};

use netchannel2_core::handshake::{
    Answer,
    KeyName,
    Offer,
    Store, //
};

struct Keys(HashMap<String, Vec<u8>>);

impl Store for Keys {
    type Error = Infallible;

    fn read<'b>(
        &self,
        key: &KeyName,
        buffer: &'b mut [u8],
    ) -> Result<Option<&'b [u8]>, Infallible> {
        let Some(value) = self.0.get(key.as_str()) else {
            return Ok(None);
        };
        let length = value.len().min(buffer.len());
        let buffer = &mut buffer[..length];
        buffer.copy_from_slice(&value[..length]);
        Ok(Some(buffer))
    }

    fn write(&mut self, key: &KeyName, value: fmt::Arguments<'_>) -> Result<(), Infallible> {
        self.0.insert(key.as_str().into(), value.to_string().into());
        Ok(())
    }

    fn remove(&mut self, key: &KeyName) -> Result<(), Infallible> {
        self.0.remove(key.as_str());
        Ok(())
    }
}

/// Prints what is wrong with the keys, `accepted` or `no offer`.
pub fn judge(what: &str) -> Result<(), Box<dyn std::error::Error>> {
    let mut keys = Keys(HashMap::new());
    for line in io::stdin().lock().lines() {
        let line = line?;
        if let Some((key, value)) = line.split_once('=') {
            // Values may hold a newline, which is spelled.
            keys.0.insert(key.into(), value.replace("\\n", "\n").into());
        }
    }
    let verdict = match what {
        "answer" => match Answer::read_from(&keys, &Offer::full()) {
            Ok(_) => "accepted".into(),
            Err(error) => error.to_string(),
        },
        "offer" => match Offer::read_from(&keys) {
            Ok(None) => "no offer".into(),
            Ok(Some(offer)) => match offer.answer(&Offer::full()) {
                Ok(_) => "accepted".into(),
                Err(error) => error.to_string(),
            },
            Err(error) => error.to_string(),
        },
        _ => return Err("judges answer or offer".into()),
    };
    println!("{verdict}");
    Ok(())
}
