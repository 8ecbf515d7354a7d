//! The ClientHellos of programs in use: what they offer, in the order that they offer it.
//!
//! Written down from published fingerprint lists and from what the programs send; each is varied by
//! `hello` (ALPN, session ticket), which makes some four dozen kinds of hello.

/// What one program offers.
pub(crate) struct Template {
    pub(crate) version: u16,
    pub(crate) ciphers: &'static [u16],
    pub(crate) extensions: &'static [u16],
    pub(crate) groups: &'static [u16],
    pub(crate) schemes: &'static [u16],
    pub(crate) versions: &'static [u16],
    pub(crate) alpn: &'static [&'static str],
    pub(crate) grease: bool,
    pub(crate) permute: bool,
}

const TLS12: u16 = 0x0303;
const BOTH: &[u16] = &[0x0304, 0x0303];
const H2: &[&str] = &["h2", "http/1.1"];
const H1: &[&str] = &["http/1.1"];

const BROWSER: &[u16] = &[
    0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014, 0x009c,
    0x009d, 0x002f, 0x0035,
];
const FIREFOX: &[u16] = &[
    0x1301, 0x1303, 0x1302, 0xc02b, 0xc02f, 0xcca9, 0xcca8, 0xc02c, 0xc030, 0xc00a, 0xc009, 0xc013,
    0xc014, 0x009c, 0x009d, 0x002f, 0x0035,
];
const SAFARI: &[u16] = &[
    0x1301, 0x1302, 0x1303, 0xc02c, 0xc02b, 0xcca9, 0xc030, 0xc02f, 0xcca8, 0xc00a, 0xc009, 0xc014,
    0xc013, 0x009d, 0x009c, 0x0035, 0x002f, 0xc008, 0xc012, 0x000a,
];
const OPENSSL3: &[u16] = &[
    0x1302, 0x1303, 0x1301, 0xc02c, 0xc030, 0x009f, 0xcca9, 0xcca8, 0xccaa, 0xc02b, 0xc02f, 0x009e,
    0xc024, 0xc028, 0x006b, 0xc023, 0xc027, 0x0067, 0xc00a, 0xc014, 0x0039, 0xc009, 0xc013, 0x0033,
    0x009d, 0x009c, 0x003d, 0x003c, 0x0035, 0x002f, 0x00ff,
];
const OPENSSL1: &[u16] = &[
    0xc030, 0xc02c, 0xc028, 0xc024, 0xc014, 0xc00a, 0x009f, 0x006b, 0x0039, 0x009d, 0x003d, 0x0035,
    0xc02f, 0xc02b, 0xc027, 0xc023, 0xc013, 0xc009, 0x009e, 0x0067, 0x0033, 0x009c, 0x003c, 0x002f,
    0x00ff,
];
const GO: &[u16] = &[
    0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc009, 0xc013, 0xc00a, 0xc014, 0x009c, 0x009d,
    0x002f, 0x0035, 0xc012, 0x000a, 0x1301, 0x1302, 0x1303,
];
const JAVA11: &[u16] = &[
    0x1302, 0x1301, 0xc02c, 0xc02b, 0xc030, 0x009d, 0xc02e, 0xc032, 0x009f, 0x00a3, 0xc02f, 0x009c,
    0xc02d, 0xc031, 0x009e, 0x00a2, 0xc024, 0xc028, 0x003d, 0xc026, 0xc02a, 0x006b, 0x006a, 0xc00a,
    0xc014, 0x0035, 0x00ff,
];
const JAVA8: &[u16] = &[
    0xc023, 0xc027, 0x003c, 0xc025, 0xc029, 0x0067, 0x0040, 0xc009, 0xc013, 0x002f, 0xc004, 0xc00e,
    0x0033, 0x0032, 0xc02b, 0xc02f, 0x009c, 0xc02d, 0xc031, 0x009e, 0x00a2, 0x00ff,
];
const SCHANNEL: &[u16] = &[
    0xc02c, 0xc02b, 0xc030, 0xc02f, 0x009f, 0x009e, 0xc024, 0xc023, 0xc028, 0xc027, 0xc00a, 0xc009,
    0xc014, 0xc013, 0x009d, 0x009c, 0x003d, 0x003c, 0x0035, 0x002f, 0x000a,
];
const GNUTLS: &[u16] = &[
    0x1302, 0x1303, 0x1301, 0x1304, 0xc02c, 0xcca9, 0xc0ad, 0xc00a, 0xc02b, 0xc0ac, 0xc009, 0xc030,
    0xcca8, 0xc014, 0xc02f, 0xc013, 0x009d, 0xc09d, 0x0035, 0x009c, 0xc09c, 0x002f, 0x009f, 0xccaa,
    0x0039, 0x009e, 0x0033,
];
const RUSTLS: &[u16] =
    &[0x1302, 0x1301, 0x1303, 0xc02c, 0xc02b, 0xcca9, 0xc030, 0xc02f, 0xcca8, 0x00ff];
const ANDROID: &[u16] = &[
    0xc02b, 0xc02c, 0xcca9, 0xc02f, 0xc030, 0xcca8, 0xc013, 0xc014, 0x009c, 0x009d, 0x002f, 0x0035,
];
const DEVICE: &[u16] = &[0xc02c, 0xc02b, 0xc024, 0xc023, 0x009d, 0x00ff];

const SCHEMES_BROWSER: &[u16] = &[0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601];
const SCHEMES_FIREFOX: &[u16] =
    &[0x0403, 0x0503, 0x0603, 0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601, 0x0203, 0x0201];
const SCHEMES_SAFARI: &[u16] =
    &[0x0403, 0x0804, 0x0401, 0x0503, 0x0203, 0x0805, 0x0805, 0x0501, 0x0806, 0x0601, 0x0201];
const SCHEMES_OPENSSL: &[u16] = &[
    0x0403, 0x0503, 0x0603, 0x0807, 0x0808, 0x0809, 0x080a, 0x080b, 0x0804, 0x0805, 0x0806, 0x0401,
    0x0501, 0x0601,
];
const SCHEMES_OLD: &[u16] =
    &[0x0601, 0x0602, 0x0603, 0x0501, 0x0502, 0x0503, 0x0401, 0x0402, 0x0403, 0x0201, 0x0203];
const SCHEMES_DEVICE: &[u16] = &[0x0603, 0x0503, 0x0403, 0x0401];

const GROUPS_BROWSER: &[u16] = &[0x001d, 0x0017, 0x0018];
const GROUPS_HYBRID: &[u16] = &[0x11ec, 0x001d, 0x0017, 0x0018];
const GROUPS_FIREFOX: &[u16] = &[0x001d, 0x0017, 0x0018, 0x0019, 0x0100, 0x0101];
const GROUPS_OPENSSL: &[u16] =
    &[0x001d, 0x0017, 0x001e, 0x0019, 0x0018, 0x0100, 0x0101, 0x0102, 0x0103, 0x0104];
const GROUPS_OLD: &[u16] = &[0x0017, 0x0018, 0x0019];

const CHROME: Template = Template {
    version: TLS12,
    ciphers: BROWSER,
    extensions: &[0, 23, 65_281, 10, 11, 35, 16, 5, 13, 18, 51, 45, 43, 27, 17_513, 21],
    groups: GROUPS_BROWSER,
    schemes: SCHEMES_BROWSER,
    versions: BOTH,
    alpn: H2,
    grease: true,
    permute: false,
};
const OPENSSL: Template = Template {
    version: TLS12,
    ciphers: OPENSSL3,
    extensions: &[0, 11, 10, 35, 16, 22, 23, 49, 13, 43, 45, 51],
    groups: GROUPS_OPENSSL,
    schemes: SCHEMES_OPENSSL,
    versions: BOTH,
    alpn: H2,
    grease: false,
    permute: false,
};

/// Every program; the last is the smallest.
pub(crate) const TEMPLATES: [Template; 17] = [
    CHROME,
    Template {
        extensions: &[0, 23, 65_281, 10, 11, 35, 16, 5, 13, 18, 51, 45, 43, 27, 17_513, 65_037],
        permute: true,
        ..CHROME
    },
    Template {
        extensions: &[0, 23, 65_281, 10, 11, 35, 16, 5, 13, 18, 51, 45, 43, 27, 17_513, 65_037],
        groups: GROUPS_HYBRID,
        permute: true,
        ..CHROME
    },
    Template {
        ciphers: FIREFOX,
        extensions: &[0, 23, 65_281, 10, 11, 35, 16, 5, 34, 51, 43, 13, 45, 28, 21],
        groups: GROUPS_FIREFOX,
        schemes: SCHEMES_FIREFOX,
        grease: false,
        ..CHROME
    },
    Template {
        ciphers: SAFARI,
        extensions: &[0, 23, 65_281, 10, 11, 16, 5, 13, 18, 51, 45, 43, 27, 21],
        groups: &[0x001d, 0x0017, 0x0018, 0x0019],
        schemes: SCHEMES_SAFARI,
        ..CHROME
    },
    OPENSSL,
    Template { alpn: H1, extensions: &[0, 11, 10, 35, 22, 23, 13, 43, 45, 51, 16], ..OPENSSL },
    Template {
        ciphers: OPENSSL1,
        extensions: &[0, 11, 10, 35, 13, 15],
        versions: &[],
        groups: GROUPS_OLD,
        ..OPENSSL
    },
    Template {
        version: 0x0301,
        ciphers: &[
            0xc014, 0xc00a, 0x0039, 0x0038, 0x0035, 0xc013, 0xc009, 0x0033, 0x0032, 0x002f, 0x000a,
            0x00ff,
        ],
        extensions: &[0, 11, 10, 35],
        versions: &[],
        groups: GROUPS_OLD,
        schemes: &[],
        ..OPENSSL
    },
    Template {
        ciphers: GO,
        extensions: &[0, 5, 10, 11, 13, 65_281, 16, 18, 43, 51],
        groups: &[0x001d, 0x0017, 0x0018, 0x0019],
        schemes: &[
            0x0804, 0x0403, 0x0807, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601, 0x0503, 0x0603, 0x0201,
            0x0203,
        ],
        ..OPENSSL
    },
    Template {
        ciphers: JAVA11,
        extensions: &[0, 5, 10, 11, 13, 50, 17, 23, 43, 45, 51],
        groups: &[0x0017, 0x0018, 0x0019, 0x0100, 0x0101, 0x0102, 0x0103, 0x0104],
        schemes: SCHEMES_OLD,
        ..OPENSSL
    },
    Template {
        ciphers: JAVA8,
        extensions: &[10, 11, 13, 23, 0],
        versions: &[],
        groups: GROUPS_OLD,
        schemes: SCHEMES_OLD,
        ..OPENSSL
    },
    Template {
        ciphers: SCHANNEL,
        extensions: &[0, 5, 10, 11, 13, 35, 16, 23, 65_281],
        versions: &[],
        groups: &[0x001d, 0x0017, 0x0018],
        schemes: SCHEMES_OLD,
        ..OPENSSL
    },
    Template {
        ciphers: GNUTLS,
        extensions: &[5, 10, 11, 13, 16, 22, 23, 35, 51, 43, 65_281, 0, 45, 28],
        schemes: SCHEMES_FIREFOX,
        ..OPENSSL
    },
    Template {
        ciphers: RUSTLS,
        extensions: &[43, 11, 10, 13, 23, 0, 5, 51, 45, 35, 16],
        groups: &[0x001d, 0x0017, 0x0018],
        schemes: &[0x0503, 0x0403, 0x0807, 0x0806, 0x0805, 0x0804, 0x0601, 0x0501, 0x0401],
        permute: true,
        ..OPENSSL
    },
    Template {
        ciphers: ANDROID,
        extensions: &[65_281, 0, 23, 35, 13, 5, 16, 11, 10],
        versions: &[],
        groups: GROUPS_BROWSER,
        schemes: SCHEMES_BROWSER,
        ..OPENSSL
    },
    Template {
        ciphers: DEVICE,
        extensions: &[0, 13, 10, 11, 22, 23],
        versions: &[],
        groups: GROUPS_OLD,
        schemes: SCHEMES_DEVICE,
        ..OPENSSL
    },
];
