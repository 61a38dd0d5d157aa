//! What recordings use of rerun's SDK, by the names that its facade crate `rerun` gives it.
//!
//! The facade also compiles what viewers read recordings with (a chunk store, queries, a client of remote catalogs, TLS): forty
//! crates that nothing here calls.

pub(crate) use re_sdk::external::re_log_encoding::{CrateVersion, Encoder, EncodingOptions};
pub(crate) use re_sdk::external::re_uri::ProxyUri;
pub(crate) use re_sdk::log::{LogMsg, TimeColumn};
pub(crate) use re_sdk::sink::{GrpcSink, GrpcSinkConnectionState, LogSink, SinkFlushError};
pub(crate) use re_sdk::{
    EntityPath, RecordingStream, RecordingStreamBuilder, RecordingStreamResult, blueprint,
    decide_logging_enabled,
};
pub(crate) use re_sdk_types::DynamicArchetype;
pub(crate) use re_sdk_types::archetypes::{
    AnnotationContext, Boxes3D, Clear, EncodedDepthImage, EncodedImage, Pinhole, Points2D, Points3D, Scalars,
    SeriesLines, TextDocument, Transform3D, ViewCoordinates,
};
pub(crate) use re_sdk_types::components::{self, Color, FillMode, Radius, TransformRelation};
pub(crate) use re_sdk_types::datatypes::{AnnotationInfo, Quaternion, Rgba32};
pub(crate) use re_web_viewer_server::WebViewerData;
