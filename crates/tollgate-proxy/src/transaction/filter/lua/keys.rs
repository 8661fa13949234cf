//! Signatures that scripts verify.

use aws_lc_rs::signature::{
    ParsedPublicKey, RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY,
    RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY,
    RSA_PKCS1_2048_8192_SHA384, VerificationAlgorithm,
};
use mlua::{Error, LuaString, MultiValue, Result, UserData, UserDataMethods, Value};

use super::handle::{Handle, log_methods};

/// A key by its name, which is what it was made of; `None`: it is no key.
struct PublicKey(Option<Vec<u8>>);

impl UserData for PublicKey {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("get", |lua, this, ()| match &this.0 {
            Some(name) => Ok(MultiValue::from_iter([Value::String(lua.create_string(name)?)])),
            None => Ok(MultiValue::new()),
        });
        log_methods(methods);
    }
}

fn first(bytes: &LuaString, length: usize) -> Result<Vec<u8>> {
    let bytes = bytes.as_bytes();
    Ok(bytes.get(..length).ok_or_else(|| Error::runtime("the text is not that long"))?.to_vec())
}

fn algorithm(hash: &str) -> Option<&'static dyn VerificationAlgorithm> {
    Some(match hash {
        "sha1" => &RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY,
        "sha256" => &RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY,
        "sha384" => &RSA_PKCS1_2048_8192_SHA384,
        "sha512" => &RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY,
        _ => return None,
    })
}

/// The methods of handles that have to do with keys.
pub(super) fn methods<M: UserDataMethods<Handle>>(methods: &mut M) {
    methods.add_method("importPublicKey", |_, this, (key, length): (LuaString, usize)| {
        let key = first(&key, length)?;
        let is_key = ParsedPublicKey::new(&RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, &key).is_ok();
        if is_key {
            this.0.keys.borrow_mut().insert(key.clone());
        }
        Ok(PublicKey(is_key.then_some(key)))
    });
    methods.add_method(
        "verifySignature",
        |_, this, arguments: (LuaString, LuaString, LuaString, usize, LuaString, usize)| {
            let (hash, key, signature, signature_length, text, text_length) = arguments;
            let key = key.as_bytes().to_vec();
            if !this.0.keys.borrow().contains(&key) {
                return Err(Error::runtime("invalid public key"));
            }
            let hash = hash.to_string_lossy();
            let Some(algorithm) = algorithm(&hash.to_ascii_lowercase()) else {
                return Ok((false, Some(format!("{hash} is not supported."))));
            };
            let (signature, text) = (first(&signature, signature_length)?, first(&text, text_length)?);
            let verified = ParsedPublicKey::new(algorithm, &key)
                .is_ok_and(|key| key.verify_sig(&text, &signature).is_ok());
            Ok((verified, (!verified).then(|| "Failed to verify digest. Error code: 0".to_owned())))
        },
    );
}
