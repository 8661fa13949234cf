use std::time::{Duration, UNIX_EPOCH};

use super::*;

fn show(pattern: &str, seconds: u64, micros: u64) -> String {
    let time = UNIX_EPOCH + Duration::from_secs(seconds) + Duration::from_micros(micros);
    let mut out = String::new();
    TimePattern::parse(pattern, Zone::Utc).unwrap().write(time, &mut out).unwrap();
    out
}

/// What Envoy 1.39.3 wrote for one moment.
#[test]
fn as_envoy_writes() {
    let at = |pattern| show(pattern, 1_795_219_843, 128_105);
    assert_eq!(
        at("%s.%3f.%6f.%9f.%f.%1f.%E*S.%E3S"),
        "1795219843.128.128105.128105000.128105000.1.43.128105.43.128"
    );
    assert_eq!(
        at("%Ez|%z|%Z|%a|%b|%d|%e|%j|%p|%T|%D|%F|%H:%M:%S|%%|%Q|%k"),
        "+00:00|+0000|UTC|Sat|Nov|21|21|325|AM|00:10:43|11/21/26|2026-11-21|00:10:43|%|%Q| 0"
    );
    let at = |pattern| show(pattern, 1_795_219_921, 646_633);
    assert_eq!(at("%c|%x|%X|%r|%R"), "Sat Nov 21 00:12:01 2026|11/21/26|00:12:01|12:12:01 AM|00:12");
    assert_eq!(at("%u|%w|%U|%W|%V|%G|%g|%y|%C"), "6|6|46|46|47|2026|26|26|20");
    assert_eq!(at("%I|%l|%P|%h|%A|%B|%t|%E4Y|%ET"), "12|12|am|Nov|Saturday|November|\t|2026|T");
    assert_eq!(
        at("%E*f|%E3f|%:z|%E0S|%E9S|%5f|%f1|%v"),
        "646633|646|+00:00|01|01.646633000|64663|6466330001|%v"
    );
}

#[test]
fn default_pattern() {
    let mut out = String::new();
    let time = UNIX_EPOCH + Duration::from_millis(1_795_219_843_128);
    TimePattern::default().write(time, &mut out).unwrap();
    assert_eq!(out, "2026-11-21T00:10:43.128Z");
}

#[test]
fn calendar() {
    for (seconds, expected) in [
        (0, "1970-01-01 4 001 00 00 01 1970"),
        (951_782_400, "2000-02-29 2 060 09 09 09 2000"),
        (951_868_800, "2000-03-01 3 061 09 09 09 2000"),
        (1_072_915_200, "2004-01-01 4 001 00 00 01 2004"),
        (1_104_537_600, "2005-01-01 6 001 00 00 53 2004"),
        (1_230_768_000, "2009-01-01 4 001 00 00 01 2009"),
        (1_230_681_600, "2008-12-31 3 366 52 52 01 2009"),
        (1_262_304_000, "2010-01-01 5 001 00 00 53 2009"),
        (4_107_542_400, "2100-03-01 1 060 09 09 09 2100"),
    ] {
        assert_eq!(show("%F %w %j %U %W %V %G", seconds, 0), expected, "{seconds}");
    }
}

#[test]
fn refused() {
    assert_eq!(TimePattern::parse("%Y %n", Zone::Utc), Err("%n"));
    assert_eq!(TimePattern::parse("%-d", Zone::Utc), Err("%-d"));
    assert_eq!(TimePattern::parse("%Ec", Zone::Utc), Err("%Ec"));
    assert_eq!(TimePattern::parse("%12f", Zone::Utc), Err("%12"));
}

/// What Envoy 1.40.0 wrote in New York.
#[test]
fn local_times_have_their_offset() {
    let zone = TimeZone::fixed(jiff::tz::Offset::from_seconds(-5 * 3600 - 30 * 60).unwrap());
    let time = UNIX_EPOCH + Duration::from_millis(1_795_219_843_128);
    let local = Timestamp::in_zone(time, &zone);
    assert_eq!((local.year, local.month, local.day, local.hour, local.minute), (2026, 11, 20, 18, 40));
    let mut out = String::new();
    for letter in [b'F', b'T', b'z'] {
        write_specifier(letter, &local, &mut out).unwrap();
        out.push(' ');
    }
    local.write_offset(":", &mut out).unwrap();
    assert_eq!(out, "2026-11-20 18:40:43 -0530 -05:30");
    assert_eq!(Timestamp::in_zone(time, &TimeZone::UTC), Timestamp::utc(time));
}
