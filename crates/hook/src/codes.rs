//! The stable codes of everything the contract can find wrong. Each has a section in docs/hook-contract.md (a test
//! compares the two lists), so a code is never renamed, only added.

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        $($(#[$doc])* pub const $name: &str = $text;)*
        /// Every code, in the order of the contract's page.
        pub const ALL_CODES: &[&str] = &[$($text),*];
    };
}

codes! {
    /// Not a `batch/v1` Job.
    NOT_A_JOB = "not-a-job";
    /// No `metadata.name`, or not a valid one.
    NAME_INVALID = "name-invalid";
    /// No `metadata.namespace`, or not a valid one.
    NAMESPACE_INVALID = "namespace-invalid";
    /// `spec.suspend` is not `true`.
    NOT_SUSPENDED = "not-suspended";
    /// No operation is named.
    LIFECYCLE_MISSING = "lifecycle-missing";
    /// An operation's name breaks its rule.
    OPERATION_INVALID = "operation-invalid";
    /// A `tenant.*` annotation that the contract does not know.
    ANNOTATION_UNKNOWN = "annotation-unknown";
    /// Two domains give different values.
    ANNOTATION_CONFLICT = "annotation-conflict";
    /// A character that no value of the contract has.
    ANNOTATION_CHARACTERS = "annotation-characters";
    /// A value above its limit.
    ANNOTATION_TOO_LONG = "annotation-too-long";
    /// A value that is none of those possible.
    ANNOTATION_VALUE = "annotation-value";
    /// A target of `after` cannot be read.
    AFTER_INVALID = "after-invalid";
    /// A hook waits for itself.
    AFTER_SELF = "after-self";
    /// `after.<operation>` for an operation that the hook is not registered for.
    AFTER_NOT_REGISTERED = "after-not-registered";
    /// A target of `after` does not exist.
    AFTER_UNKNOWN = "after-unknown";
    /// A target of `after` is in another namespace and the platform forbids that.
    AFTER_CROSS_NAMESPACE = "after-cross-namespace";
    /// Hooks wait for each other.
    AFTER_CYCLE = "after-cycle";
    /// The selector cannot be read.
    SELECTOR_SYNTAX = "selector-syntax";
    /// The timeout cannot be read or is out of bounds.
    TIMEOUT_INVALID = "timeout-invalid";
    /// Not a number from 0 to 10.
    RETRIES_INVALID = "retries-invalid";
    /// No container of that name.
    CONTAINER_UNKNOWN = "container-unknown";
    /// A Pod was asked for, but the template needs a Job.
    KIND_CONFLICT = "kind-conflict";
    /// The template has no container.
    CONTAINERS_MISSING = "containers-missing";
    /// A container's or volume's name or image is missing, invalid or used twice.
    CONTAINER_INVALID = "container-invalid";
    /// A field that is on no list of the contract.
    FIELD_NOT_ALLOWED = "field-not-allowed";
    /// A field that Kubernetes does not know (a typing error, or newer than this version).
    FIELD_UNKNOWN = "field-unknown";
    /// A value of the wrong type.
    FIELD_TYPE = "field-type";
    /// `restartPolicy` is neither `Never` nor `OnFailure`.
    RESTART_POLICY = "restart-policy";
    /// A variable, label, annotation, volume or path that belongs to tenantry.
    NAME_RESERVED = "name-reserved";
    /// The region's policy forbids a privilege.
    POLICY_FORBIDDEN = "policy-forbidden";
    /// Something in the template names an object of another namespace.
    FOREIGN_NAMESPACE = "foreign-namespace";
    /// The files are too large for a config map.
    FILES_TOO_LARGE = "files-too-large";
    /// The region has no object store and the operation needs one.
    OBJECT_STORE_MISSING = "object-store-missing";
    /// The process executor runs one container only.
    PROCESS_CONTAINERS = "process-containers";
    /// The process executor runs one attempt at a time.
    PROCESS_COMPLETIONS = "process-completions";
    /// The command is only in the image.
    PROCESS_COMMAND = "process-command";
    /// A volume that has no local form.
    PROCESS_VOLUME = "process-volume";
    /// A variable whose source exists only in a cluster.
    PROCESS_VARIABLE = "process-variable";
    /// The output file breaks its rule.
    OUTPUT_INVALID = "output-invalid";
    /// The manifest is not YAML or JSON.
    SYNTAX = "syntax";
    /// The manifest holds no hook.
    NO_HOOK = "no-hook";
    /// A field that has no effect on attempts.
    WITHOUT_EFFECT = "without-effect";
    /// An operation `lifecycle.*` that tenantry does not bring along.
    OPERATION_UNKNOWN = "operation-unknown";
    /// Argo CD cannot update a Job without these options.
    SYNC_OPTIONS = "sync-options";
}
