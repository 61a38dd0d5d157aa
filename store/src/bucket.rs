//! From a URL to the store behind it and the place of the object in it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::http::HttpBuilder;
use object_store::path::Path;
use object_store::{ClientConfigKey, ClientOptions, ObjectStore, ObjectStoreScheme, RetryConfig};
use url::Url;

use crate::aws_profile::AwsProfile;
use crate::error::{Error, Result};

/// Where an object is.
#[derive(Clone, Debug)]
pub(crate) struct ObjectPlace {
    pub store: Arc<dyn ObjectStore>,
    pub path: Path,
    /// Whether objects can be written and listed there.
    pub is_bucket: bool,
}

/// The stores that were used so far, one a bucket.
#[derive(Debug)]
pub(crate) struct Buckets {
    open: Mutex<BTreeMap<String, Arc<dyn ObjectStore>>>,
    patience: Duration,
}

impl Buckets {
    pub(crate) fn new(patience: Duration) -> Self {
        Self { open: Mutex::default(), patience }
    }

    /// Takes a store for all URLs that begin with `root`, as `s3://bucket`: tests read one in memory.
    pub(crate) fn mount(&self, root: &str, store: Arc<dyn ObjectStore>) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).insert(root.to_owned(), store);
    }

    /// The place that a URL leads to; nothing is sent.
    ///
    /// # Errors
    /// Fails if it is no URL of an object, carries a name, password or query, or the environment does not say enough to
    /// reach the store.
    pub(crate) fn find(&self, text: &str) -> Result<ObjectPlace> {
        let url = parse_url(text)?;
        let wrong =
            |e: &dyn std::fmt::Display| Error::Url { expected: EXPECTED, found: format!("{url}: {e}") };
        let (scheme, path) = ObjectStoreScheme::parse(&url).map_err(|e| wrong(&e))?;
        let is_bucket = !matches!(scheme, ObjectStoreScheme::Http);
        let mut root = url[..url::Position::BeforePath].to_owned();
        if let (true, "https", Some(bucket)) = (is_bucket, url.scheme(), url.path().split('/').nth(1)) {
            // Hosts of S3 and Azure hold many buckets.
            root = format!("{root}/{bucket}");
        }
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = open.get(&root) {
            return Ok(ObjectPlace { store: Arc::clone(store), path, is_bucket });
        }
        let store = self.connect(&scheme, &url, &root).map_err(|e| match Error::from_store(&e, 1) {
            Error::Store { reason, .. } => wrong(&reason),
            other => other,
        })?;
        open.insert(root, Arc::clone(&store));
        Ok(ObjectPlace { store, path, is_bucket })
    }

    fn connect(
        &self,
        scheme: &ObjectStoreScheme,
        url: &Url,
        root: &str,
    ) -> object_store::Result<Arc<dyn ObjectStore>> {
        let retry = RetryConfig { retry_timeout: self.patience, ..RetryConfig::default() };
        // So that a request that is never answered is asked again within that time; bodies continue where they ended.
        let seconds = (self.patience.as_secs() / 4).clamp(1, 30);
        let (key, timeout) = (ClientConfigKey::Timeout, format!("{seconds}s"));
        Ok(match scheme {
            ObjectStoreScheme::AmazonS3 => {
                let builder = open_s3(url).with_config(AmazonS3ConfigKey::Client(key), timeout);
                Arc::new(builder.with_retry(retry).build()?)
            }
            ObjectStoreScheme::GoogleCloudStorage => {
                let builder = GoogleCloudStorageBuilder::from_env().with_url(url.as_str());
                let builder = builder.with_config(GoogleConfigKey::Client(key), timeout);
                Arc::new(builder.with_retry(retry).build()?)
            }
            ObjectStoreScheme::MicrosoftAzure => {
                let builder = MicrosoftAzureBuilder::from_env().with_url(url.as_str());
                let builder = builder.with_config(AzureConfigKey::Client(key), timeout);
                Arc::new(builder.with_retry(retry).build()?)
            }
            _ => {
                let options = ClientOptions::new().with_allow_http(true).with_config(key, timeout);
                Arc::new(
                    HttpBuilder::new()
                        .with_url(root)
                        .with_client_options(options)
                        .with_retry(retry)
                        .build()?,
                )
            }
        })
    }
}

const EXPECTED: &str =
    "s3://, gs:// or az:// with a bucket and a folder, or https:// with a host and a folder";

/// Refuses URLs that carry what belongs into the environment: they are printed, and stored with what is made from them.
fn parse_url(text: &str) -> Result<Url> {
    let found = || crate::error::conceal(text);
    let url = Url::parse(text)
        .map_err(|e| Error::Url { expected: EXPECTED, found: format!("{}: {e}", found()) })?;
    if !url.username().is_empty() || url.password().is_some() {
        let expected = "a URL without name and password: credentials come from the environment";
        let host = url.host_str().unwrap_or_default();
        return Err(Error::Url { expected, found: format!("{}://..@{host}", url.scheme()) });
    }
    if url.query().is_some() || url.fragment().is_some() {
        let expected = "a URL without query: credentials come from the environment";
        return Err(Error::Url { expected, found: format!("{}..", &url[..url::Position::AfterPath]) });
    }
    Ok(url)
}

/// S3 by the environment, and by the profile where that says nothing.
fn open_s3(url: &Url) -> AmazonS3Builder {
    let mut builder = AmazonS3Builder::from_env().with_url(url.as_str());
    let profile = AwsProfile::read();
    let is_unset = |builder: &AmazonS3Builder, key| builder.get_config_value(&key).is_none();
    if is_unset(&builder, AmazonS3ConfigKey::AccessKeyId)
        && let (Some(id), Some(secret)) = (profile.access_key_id, profile.secret_access_key)
    {
        builder = builder.with_access_key_id(id).with_secret_access_key(secret);
        if let Some(token) = profile.session_token {
            builder = builder.with_token(token);
        }
    }
    if is_unset(&builder, AmazonS3ConfigKey::Region) && is_unset(&builder, AmazonS3ConfigKey::DefaultRegion) {
        builder = builder.with_region(profile.region.unwrap_or_else(|| "us-east-1".to_owned()));
    }
    if let (true, Some(endpoint)) = (is_unset(&builder, AmazonS3ConfigKey::Endpoint), profile.endpoint_url) {
        builder = builder.with_endpoint(endpoint);
    }
    builder
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_that_carry_credentials_are_refused_without_showing_them() {
        let buckets = Buckets::new(Duration::from_secs(1));
        for url in
            ["s3://id:hunter2@bucket/set", "https://host/set?sig=hunter2", "az://c/set?sv=1&sig=hunter2"]
        {
            let error = buckets.find(url).unwrap_err().to_string();
            assert!(error.contains("come from the environment") && !error.contains("hunter2"), "{error}");
        }
        assert!(buckets.find("s3://").is_err() && buckets.find("s3:///set").is_err());
    }

    #[test]
    fn a_bucket_is_opened_once_and_paths_are_those_below_it() {
        let buckets = Buckets::new(Duration::from_secs(1));
        let store: Arc<dyn ObjectStore> = Arc::new(object_store::memory::InMemory::new());
        buckets.mount("s3://bucket", Arc::clone(&store));
        let place = buckets.find("s3://bucket/a set/points/x.parquet").unwrap();
        assert_eq!((place.path.as_ref(), place.is_bucket), ("a set/points/x.parquet", true));
        assert!(Arc::ptr_eq(&place.store, &store));
        let place = buckets.find("https://example.org/sets/a/manifest.json").unwrap();
        assert_eq!((place.path.as_ref(), place.is_bucket), ("sets/a/manifest.json", false));
    }
}
