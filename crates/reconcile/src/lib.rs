//! datapipe-reconcile
