//! A store in memory that counts what is fetched from it, and fails when it is told to.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

/// What becomes of a body.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// Half of it comes.
    Cut,
    /// A bit of it is another.
    Flip,
}

#[derive(Debug, Default)]
pub struct FailingStore {
    inner: InMemory,
    faults: Mutex<VecDeque<Fault>>,
    gets: Mutex<usize>,
    has_got: Condvar,
}

impl FailingStore {
    /// What becomes of the next bodies.
    pub fn fail_next(&self, faults: &[Fault]) {
        *self.faults.lock().unwrap() = faults.iter().copied().collect();
    }

    /// Shards that were asked for.
    pub fn gets(&self) -> usize {
        *self.gets.lock().unwrap()
    }

    /// Waits until so many shards were asked for, and a moment longer.
    pub fn wait_for_gets(&self, count: usize) {
        let gets = self.gets.lock().unwrap();
        let patience = Duration::from_secs(20);
        let (gets, _) = self.has_got.wait_timeout_while(gets, patience, |gets| *gets < count).unwrap();
        let more = self.has_got.wait_timeout_while(gets, Duration::from_millis(200), |gets| *gets <= count);
        drop(more);
    }
}

impl std::fmt::Display for FailingStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FailingStore")
    }
}

#[async_trait::async_trait]
impl ObjectStore for FailingStore {
    async fn put_opts(&self, at: &Path, body: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.inner.put_opts(at, body, options).await
    }

    async fn put_multipart_opts(
        &self,
        at: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(at, options).await
    }

    async fn get_opts(&self, at: &Path, options: GetOptions) -> Result<GetResult> {
        let is_shard = at.as_ref().ends_with(".parquet") && !options.head;
        let answer = self.inner.get_opts(at, options).await?;
        if !is_shard {
            return Ok(answer);
        }
        *self.gets.lock().unwrap() += 1;
        self.has_got.notify_all();
        let fault = self.faults.lock().unwrap().pop_front();
        let Some(fault) = fault else { return Ok(answer) };
        let (meta, range, attributes) =
            (answer.meta.clone(), answer.range.clone(), answer.attributes.clone());
        let body = answer.bytes().await?;
        let body = match fault {
            Fault::Cut => body.slice(..body.len() / 2),
            Fault::Flip => {
                body.iter().enumerate().map(|(i, byte)| if i == 99 { byte ^ 4 } else { *byte }).collect()
            }
        };
        let stream = futures_util::stream::once(async move { Ok(body) }).boxed();
        Ok(GetResult { payload: GetResultPayload::Stream(stream), meta, range, attributes })
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
