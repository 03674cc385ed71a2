//! ApiVersionsResponse v4.

use super::wire::*;

pub struct ApiVersionsResponse<'a> {
    pub error_code: i16,
    pub api_keys: Vec<Api>,
    pub throttle_time_ms: i32,
    pub supported: Vec<Feature<'a>>,
    pub finalized_epoch: i64,
    pub finalized: Vec<Feature<'a>>,
    pub zk_migration_ready: bool,
}

pub struct Api {
    pub key: i16,
    pub min: i16,
    pub max: i16,
}

/// The two numbers stand in either order, as the array has them.
pub struct Feature<'a> {
    pub name: &'a str,
    pub levels: [i16; 2],
}

pub fn decode(frame: &[u8]) -> Result<ApiVersionsResponse<'_>> {
    let mut r = Reader::new(frame);
    let error_code = i16(r.run::<2>()?, 0);
    let api_keys = r.array(7, |r| {
        let run: &[u8; 6] = r.run()?;
        r.end()?;
        Ok(Api {
            key: i16(run, 0),
            min: i16(run, 2),
            max: i16(run, 4),
        })
    })?;
    let throttle_time_ms = i32(r.run::<4>()?, 0);
    let (mut supported, mut finalized) = (Vec::new(), Vec::new());
    let (mut finalized_epoch, mut zk_migration_ready) = (-1, false);
    for _ in 0..r.uvarint()? {
        let tag = r.uvarint()?;
        r.uvarint()?;
        match tag {
            0 => supported = r.array(6, feature)?,
            1 => finalized_epoch = i64(r.run::<8>()?, 0),
            2 => finalized = r.array(6, feature)?,
            3 => zk_migration_ready = r.run::<1>()?[0] != 0,
            _ => return Err(Malformed),
        }
    }
    r.finish()?;
    Ok(ApiVersionsResponse {
        error_code,
        api_keys,
        throttle_time_ms,
        supported,
        finalized_epoch,
        finalized,
        zk_migration_ready,
    })
}

fn feature<'a>(r: &mut Reader<'a>) -> Result<Feature<'a>> {
    let name = r.str()?;
    let run: &[u8; 4] = r.run()?;
    r.end()?;
    Ok(Feature {
        name,
        levels: [i16(run, 0), i16(run, 2)],
    })
}

impl ApiVersionsResponse<'_> {
    pub fn encode(&self, out: &mut impl Sink) {
        out.extend_from_slice(&self.error_code.to_be_bytes());
        put_array(out, &self.api_keys, |out, api| {
            put_run!(
                out,
                7,
                api.key.to_be_bytes(),
                api.min.to_be_bytes(),
                api.max.to_be_bytes(),
                [0],
            );
        });
        put_run!(out, 5, self.throttle_time_ms.to_be_bytes(), [self.tags()]);
        if !self.supported.is_empty() {
            put_features(out, 0, &self.supported);
        }
        if self.finalized_epoch != -1 {
            put_run!(out, 10, [1, 8], self.finalized_epoch.to_be_bytes());
        }
        if !self.finalized.is_empty() {
            put_features(out, 2, &self.finalized);
        }
        if self.zk_migration_ready {
            out.extend_from_slice(&[3, 1, 1]);
        }
    }

    fn tags(&self) -> u8 {
        u8::from(!self.supported.is_empty())
            + u8::from(self.finalized_epoch != -1)
            + u8::from(!self.finalized.is_empty())
            + u8::from(self.zk_migration_ready)
    }

    pub fn len(&self) -> usize {
        let features = |features: &[Feature<'_>]| match features {
            [] => 0,
            features => 1 + uvarint_len(features_len(features)) + features_len(features),
        };
        2 + array_len(&self.api_keys, |_| 7)
            + 5
            + features(&self.supported)
            + if self.finalized_epoch == -1 { 0 } else { 10 }
            + features(&self.finalized)
            + if self.zk_migration_ready { 3 } else { 0 }
    }
}

fn features_len(features: &[Feature<'_>]) -> usize {
    array_len(features, |feature| str_len(feature.name) + 5)
}

fn put_features(out: &mut impl Sink, tag: u8, features: &[Feature<'_>]) {
    out.push(tag);
    put_uvarint(out, features_len(features));
    put_array(out, features, |out, feature| {
        put_str(out, feature.name);
        let [first, second] = feature.levels;
        put_run!(out, 5, first.to_be_bytes(), second.to_be_bytes(), [0]);
    });
}
