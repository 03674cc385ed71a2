//! Encodes and decodes a message of a schema that is not Kafka's.

use std::error::Error;

use kwire_protocol::Message;
use messages::SensorReading;

/// The code that the build script generated, a module for each schema.
mod messages {
    include!(concat!(env!("OUT_DIR"), "/messages.rs"));
}

fn main() -> Result<(), Box<dyn Error>> {
    let reading = SensorReading {
        sensor: "boiler".into(),
        milli_celsius: 81_250,
        note: Some("just serviced".into()),
        ..SensorReading::default()
    };
    let bytes = reading.encode_to_vec(1)?;
    println!("{} bytes: {bytes:02x?}", bytes.len());

    let decoded = SensorReading::decode(&bytes, 1)?;
    println!("{decoded:#?}");

    // Version 0 has no notes, and the schema does not let one be dropped.
    if let Err(error) = reading.encode_to_vec(0) {
        println!("{error}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_those_of_the_schema() -> Result<(), Box<dyn Error>> {
        let mut reading = SensorReading {
            sensor: "b".into(),
            milli_celsius: -2,
            ..SensorReading::default()
        };
        // An int16 length and the name, an int32.
        let plain = [0, 1, b'b', 0xff, 0xff, 0xff, 0xfe];
        assert_eq!(reading.encode_to_vec(0)?, plain);
        // A length plus one and the name, an int32, no tagged fields.
        let flexible = [2, b'b', 0xff, 0xff, 0xff, 0xfe, 0];
        assert_eq!(reading.encode_to_vec(1)?, flexible);
        // One tagged field: tag 0, three bytes, of which the first is the length plus one.
        reading.note = Some("ok".into());
        let tagged = [2, b'b', 0xff, 0xff, 0xff, 0xfe, 1, 0, 3, 3, b'o', b'k'];
        assert_eq!(reading.encode_to_vec(1)?, tagged);
        assert_eq!(SensorReading::decode(&tagged, 1)?, reading);
        assert!(reading.encode_to_vec(0).is_err());
        Ok(())
    }
}
