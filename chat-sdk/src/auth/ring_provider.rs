pub fn install_ring_provider(){}
