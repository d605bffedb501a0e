//! Recorded bytes of PostgreSQL 15, and any bytes.

use datapipe_core::change::Cell;
use proptest::prelude::*;

use super::*;

fn hex(text: &str) -> Bytes {
    let digits: Vec<u8> = text.chars().map(|digit| u8::try_from(digit.to_digit(16).unwrap()).unwrap()).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect::<Vec<_>>().into()
}

fn recorded(text: &str) -> Message {
    decode(&hex(text)).unwrap()
}

fn row(cells: &[Option<&str>]) -> Tuple {
    Tuple::from_cells(cells.iter().map(|cell| cell.map_or(Cell::Null, |text| Cell::Text(text.as_bytes()))))
}

#[test]
fn a_transactions_ends() {
    let begin = recorded("420000000011093790000303ecfb986a5e00018979");
    let Message::Begin(begin) = begin else { panic!("{begin:?}") };
    assert_eq!((begin.commit, begin.xid), (Lsn(0x1109_3790), 0x18979));
    assert_eq!(begin.commit_time_us, 0x0003_03ec_fb98_6a5e + 946_684_800_000_000);
    let commit = recorded("4300000000001109379000000000110937c0000303ecfb986a5e");
    assert_eq!(commit, Message::Commit { end: Lsn(0x1109_37C0) });
}

#[test]
fn a_relation() {
    let message = recorded(
        "520000400d7075626c696300726563006400030169640000000017ffffffff006e616d65000000041300000018006d000000400affffffff",
    );
    let column = |identity, name: &str, type_oid, modifier| ColumnMessage {
        identity,
        name: name.to_owned(),
        type_oid,
        modifier,
    };
    let expected = RelationMessage {
        oid: 0x400d,
        schema: "public".to_owned(),
        name: "rec".to_owned(),
        identity: ReplicaIdentity::Default,
        columns: vec![column(true, "id", 23, -1), column(false, "name", 1043, 24), column(false, "m", 0x400a, -1)],
    };
    assert_eq!(message, Message::Relation(expected));
}

#[test]
fn rows() {
    let relation = 0x400d;
    assert_eq!(
        recorded("490000400d4e00037400000001317400000002c3bc6e"),
        Message::Insert { relation, new: row(&[Some("1"), Some("ü"), None]) }
    );
    assert_eq!(
        recorded("550000400d4e00037400000001316e6e"),
        Message::Update { relation, old: None, new: row(&[Some("1"), None, None]) }
    );
    assert_eq!(
        recorded("550000400d4b00037400000001316e6e4e00037400000001326e6e"),
        Message::Update {
            relation,
            old: Some(OldRow::Key(row(&[Some("1"), None, None]))),
            new: row(&[Some("2"), None, None])
        }
    );
    assert_eq!(
        recorded("550000400d4f00037400000001326e6e4e00037400000001327400000001627400000003736164"),
        Message::Update {
            relation,
            old: Some(OldRow::Full(row(&[Some("2"), None, None]))),
            new: row(&[Some("2"), Some("b"), Some("sad")])
        }
    );
    assert_eq!(
        recorded("440000400d4f00037400000001327400000001627400000003736164"),
        Message::Delete { relation, old: OldRow::Full(row(&[Some("2"), Some("b"), Some("sad")])) }
    );
}

#[test]
fn what_is_no_row() {
    assert_eq!(recorded("5400000001000000400d"), Message::Truncate { relations: vec![0x400d] });
    assert_eq!(recorded("590000400a7075626c6963006d6f6f6400"), Message::Other(b'Y'));
    assert_eq!(recorded("4d010000000011093bf0646174617069706500000000026869"), Message::Other(b'M'));
}

#[test]
fn a_refusal_says_where_and_why() {
    let error = decode(&hex("490000400d4e000374")).unwrap_err();
    assert_eq!(error.to_string(), "message 'I' is malformed at byte 8: cell length is cut off");
    assert!(decode(&hex("53")).is_err(), "streaming of open transactions is not asked for");
    assert!(decode(&Bytes::new()).is_err());
}

proptest! {
    #[test]
    fn any_bytes_are_decoded_or_refused(kind in proptest::sample::select(b"BCROYIUDTMS".to_vec()), rest: Vec<u8>) {
        let mut bytes = vec![kind];
        bytes.extend_from_slice(&rest);
        let _ = decode(&bytes.into());
    }

    #[test]
    fn a_recorded_message_that_is_cut_or_bent_is_decoded_or_refused(at in 0usize..60, byte: u8, end in 0usize..60) {
        for text in [
            "520000400d7075626c696300726563006400030169640000000017ffffffff006e616d65000000041300000018006d000000400affffffff",
            "550000400d4f00037400000001326e6e4e00037400000001327400000001627400000003736164",
        ] {
            let mut bytes = hex(text).to_vec();
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
            bytes.truncate(end.max(1));
            let _ = decode(&bytes.into());
        }
    }
}
