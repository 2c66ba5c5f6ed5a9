//! The readers of outside bytes and the words that they need, out of the program's own files
//! (`domain`, `domain.rs` and `collect/gpu` are links). Without the clouds' clients, TLS and SQLite
//! this builds in a minute instead of a quarter of an hour.

pub mod domain;

pub mod collect {
    //! The rooms that read outside bytes.

    pub mod gpu {
        //! Pages of GPU exporters, and what a Prometheus hands on of them.

        pub mod amd;
        pub mod dcgm;
        pub mod devices;
        pub mod exposition;
        pub mod figures;
        pub mod page;
        pub mod series;
        pub mod words;

        pub mod promql {
            //! Answers of a Prometheus.

            pub mod answer;
            pub mod fleet;
        }
    }
}
