#[path = "../src/cases.rs"] mod cases;
use kwire_protocol::Message;
fn main() {
    let bytes = cases::metadata().encode_to_vec(12).unwrap();
    let n: usize = std::env::args().nth(1).unwrap().parse().unwrap();
    for _ in 0..n {
        std::hint::black_box(kwire_protocol::messages::MetadataResponse::decode(std::hint::black_box(&bytes), 12).unwrap());
    }
}
